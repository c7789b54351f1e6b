# What a person may choose. What is pinned (versions, hashes, keys, the source's owner) stands in versions.pkr.hcl.

variable "region" {
  description = "The region to build in."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "The region must be a region's name, such as \"eu-central-1\"."
  }
}

variable "architecture" {
  description = "x86_64 or arm64. The tests build and boot x86_64; arm64 is validated only."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "The architecture must be \"x86_64\" or \"arm64\"."
  }
}

variable "instance_type" {
  description = "The builder's type; \"\" is t3.small, or t4g.small for arm64."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.[a-z0-9-]+)?$", var.instance_type))
    error_message = "The instance_type must be \"\" or a type such as \"t3.small\"."
  }
}

variable "source_ami" {
  description = "Build from this very image; \"\" is the newest Debian 13 of source_owner."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(ami-[0-9a-f]{8,17})?$", var.source_ami))
    error_message = "The source_ami must be \"\" or an image's id, such as \"ami-0123456789abcdef0\"."
  }
}

variable "source_name" {
  description = "Which names of source_owner's images to choose the newest from; \"\" is Debian 13 of this architecture."
  type        = string
  default     = ""
}

variable "root_gib" {
  description = "The size of the root volume in GiB. It holds the data too where the stack gives none of its own."
  type        = number
  default     = 8

  validation {
    condition     = var.root_gib >= 4 && var.root_gib <= 16384 && floor(var.root_gib) == var.root_gib
    error_message = "The root_gib must be a whole number from 4 to 16384."
  }
}

variable "kms_key_id" {
  description = "The key that encrypts the image (id, ARN or alias); \"\" is the account's default key for EBS."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/.+|alias/.+|(mrk-)?[0-9a-f-]{32,36})?$", var.kms_key_id))
    error_message = "The kms_key_id must be \"\", a key's id or ARN, or \"alias/...\"."
  }
}

variable "subnet_id" {
  description = "The builder's subnet; \"\" is one of the default VPC."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(subnet-[0-9a-f]{8,17})?$", var.subnet_id))
    error_message = "The subnet_id must be \"\" or a subnet's id, such as \"subnet-0123456789abcdef0\"."
  }
}

variable "connection" {
  description = "How Packer reaches the builder: public_ip or private_ip (SSH), or session_manager (SSH through it; needs instance_profile and Session Manager's plugin here)."
  type        = string
  default     = "public_ip"

  validation {
    condition     = contains(["public_ip", "private_ip", "session_manager"], var.connection)
    error_message = "The connection must be \"public_ip\", \"private_ip\" or \"session_manager\"."
  }
}

variable "instance_profile" {
  description = "The builder's instance profile; \"\" is none. For session_manager one with AmazonSSMManagedInstanceCore."
  type        = string
  default     = ""
}

variable "users" {
  description = "Accounts that may launch the image. With them kms_key_id must name a key of your own that those accounts may use."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for user in var.users : can(regex("^[0-9]{12}$", user))])
    error_message = "The users must be account ids of 12 digits."
  }
}

variable "copy_regions" {
  description = "Regions that the image is copied to."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for region in var.copy_regions : can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", region))])
    error_message = "The copy_regions must be names of regions, such as \"eu-central-1\"."
  }
}

variable "copy_kms_key_ids" {
  description = "The key for each of copy_regions, by the region's name; a region without one takes its account's default key."
  type        = map(string)
  default     = {}
}

variable "deprecate_days" {
  description = "After how many days EC2 shows the image as deprecated; 0 is never. Running groups are not touched by it."
  type        = number
  default     = 90

  validation {
    condition     = var.deprecate_days >= 0 && var.deprecate_days <= 3650 && floor(var.deprecate_days) == var.deprecate_days
    error_message = "The deprecate_days must be a whole number from 0 to 3650."
  }
}

variable "tags" {
  description = "More tags for the image and its snapshots."
  type        = map(string)
  default     = {}
}

variable "revision" {
  description = "The git revision that the image is built from; `make ami` gives it."
  type        = string
  default     = "unknown"

  validation {
    condition     = can(regex("^[0-9A-Za-z._+-]{1,80}$", var.revision))
    error_message = "The revision must be 1 to 80 of letters, digits and . _ + -."
  }
}

variable "zookeeper_tarball" {
  description = "ZooKeeper's distribution: a file here, or a URL; \"\" is Apache's own. What differs from it needs zookeeper_sha512 too."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(https?://.+\\.tar\\.gz|[^:]+\\.tar\\.gz)?$", var.zookeeper_tarball))
    error_message = "The zookeeper_tarball must be \"\", a path or a URL that ends in .tar.gz."
  }
}

variable "zookeeper_signature" {
  description = "The tarball's signature by zookeeper_key: a file here or a URL; \"\" is the .asc beside the tarball; \"none\" leaves the SHA-512 alone to vouch for it."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(|none|.+\\.asc)$", var.zookeeper_signature))
    error_message = "The zookeeper_signature must be \"\", \"none\", or a path or URL that ends in .asc."
  }
}

variable "zookeeper_keys" {
  description = "Where zookeeper_key is found: a file here or a URL with public keys. Which key counts is pinned, not which are in there."
  type        = string
  default     = "https://downloads.apache.org/zookeeper/KEYS"
}

variable "http_proxy" {
  description = "A proxy for apt in the builder, http://host:port; \"\" is none. It does not stay in the image."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(http://[^/ ]+:[0-9]+/?)?$", var.http_proxy))
    error_message = "The http_proxy must be \"\" or http://host:port."
  }
}

variable "endpoint" {
  description = "Another address for EC2's API, such as a VPC endpoint's or an emulator's; \"\" is AWS's own."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(https?://.+)?$", var.endpoint))
    error_message = "The endpoint must be \"\", http://... or https://..."
  }
}

variable "skip_region_validation" {
  description = "Take the region as it is, where EC2 cannot be asked which there are."
  type        = bool
  default     = false
}
