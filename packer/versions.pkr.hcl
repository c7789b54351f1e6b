# Every pin of the image in one place. After a change: `make ami`, `make ami-check`.
# Debian's packages are not pinned: an image holds what Debian's archive, security updates included, has on the day it is built.

packer {
  required_version = ">= 1.10.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "= 1.3.2"
    }
  }
}

variable "zookeeper_version" {
  description = "The version of ZooKeeper; 3.9.5 or newer, because older ones lose data or have open holes."
  type        = string
  default     = "3.9.5"

  validation {
    condition     = can(regex("^3\\.(9\\.([5-9]|[1-9][0-9])|[1-9][0-9]\\.[0-9]+)$", var.zookeeper_version))
    error_message = "The zookeeper_version must be 3.9.5 or a newer 3.x release, such as \"3.9.5\"."
  }
}

variable "zookeeper_sha512" {
  description = "The SHA-512 of zookeeper_tarball; the default is that of Apache's own for the default version."
  type        = string
  default     = "baa1c21dda4d57238fca751e4fa2bbf1daff9a28612b125e497dccd5c188ee6449e2f79947e474c2dd4d19992789d4d36b27b1ba2feb80c2b0c45e7df0e22aa8"

  validation {
    condition     = can(regex("^[0-9a-f]{128}$", var.zookeeper_sha512))
    error_message = "The zookeeper_sha512 must be a SHA-512 in small letters, 128 of 0-9 and a-f."
  }
}

variable "zookeeper_key" {
  description = "The fingerprint of the release manager's key that signs zookeeper_tarball (Andor Molnar's, for 3.9.5)."
  type        = string
  default     = "3F7A1D16FA4217B1DC75E1C9FFE35B7F15DFA1BA"

  validation {
    condition     = can(regex("^[0-9A-F]{40}$", var.zookeeper_key))
    error_message = "The zookeeper_key must be a key's full fingerprint, 40 of 0-9 and A-F without spaces."
  }
}

variable "java_version" {
  description = "The version of Java, one that Debian has as openjdk-<version>-jre-headless."
  type        = number
  default     = 21

  validation {
    condition     = contains([21, 25], var.java_version)
    error_message = "The java_version must be 21 or 25: Debian 13 has no other."
  }
}

variable "source_owner" {
  description = "The account that owns the source image; the default is Debian's."
  type        = string
  default     = "136693071363"

  validation {
    condition     = can(regex("^([0-9]{12}|self)$", var.source_owner))
    error_message = "The source_owner must be an account id of 12 digits, or \"self\"."
  }
}
