variable "cluster" {
  description = "The ensemble's name: in the names of all that is made for it, in its keys in the bucket, in its settings. Never changed afterwards: another name is another ensemble."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9-]{1,40}$", var.cluster))
    error_message = "cluster is \"${var.cluster}\" (${length(var.cluster)} characters): give 1 to 40 of a-z, 0-9 and -, since it becomes a part of the bucket's, the role's and the log group's name."
  }
}

# Network

variable "subnet_ids" {
  description = "The subnets of the instances, all in one VPC, one a zone in three zones. They need a way to S3, EC2, Auto Scaling, SSM and CloudWatch Logs: a NAT gateway, or `vpc_endpoints`."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0 && length(distinct(var.subnet_ids)) == length(var.subnet_ids)
    error_message = "subnet_ids must name at least one subnet, and none of them twice."
  }
}

variable "min_zones" {
  description = "How many availability zones the subnets must span. With fewer than three, the loss of one zone can take a majority of the voters; a test ensemble may allow itself 1."
  type        = number
  default     = 3

  validation {
    condition     = var.min_zones >= 1 && floor(var.min_zones) == var.min_zones
    error_message = "min_zones must be a whole number from 1: 3 keeps a quorum when a zone is lost."
  }
}

variable "clients" {
  description = "Who may connect to ZooKeeper's client port, beside the members: security groups by a name of your choice, and IPv4 or IPv6 ranges."
  type = object({
    security_groups = optional(map(string), {})
    cidrs           = optional(list(string), [])
  })
  default = {}

  validation {
    condition     = alltrue([for cidr in var.clients.cidrs : can(cidrhost(cidr, 0))])
    error_message = "clients.cidrs must hold ranges such as \"10.0.0.0/16\" or \"fd00::/8\": correct ${join(", ", [for cidr in var.clients.cidrs : cidr if !can(cidrhost(cidr, 0))])}."
  }
}

variable "security_group_ids" {
  description = "Security groups of your own for the instances, instead of the one that is made here: `clients` and `egress_cidrs` then do nothing. They must let the members reach each other on the client, quorum and election ports, and AWS on 443. Other groups than those of the instances that run part the old members from the new: let the two reach each other first."
  type        = list(string)
  default     = []
}

variable "egress_cidrs" {
  description = "Where instances may open HTTPS connections to: AWS's APIs, or the VPC's range when all of them are VPC endpoints (S3's gateway endpoint needs its public addresses)."
  type        = list(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for cidr in var.egress_cidrs : can(cidrhost(cidr, 0))])
    error_message = "egress_cidrs must hold ranges such as \"10.0.0.0/16\" or \"fd00::/8\": correct ${join(", ", [for cidr in var.egress_cidrs : cidr if !can(cidrhost(cidr, 0))])}."
  }
}

variable "vpc_endpoints" {
  description = "VPC endpoints for subnets without a way to the internet: a gateway for S3 in these route tables, and interfaces for EC2, Auto Scaling, SSM and CloudWatch Logs. The names of these services then lead everyone in the VPC to them, and they let in the members and `cidrs` alone: name the VPC's range where others use it too. Leave it out where the VPC has them."
  type = object({
    route_table_ids = list(string)
    cidrs           = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.vpc_endpoints == null ? true : length(var.vpc_endpoints.route_table_ids) > 0
    error_message = "vpc_endpoints.route_table_ids must name the route tables of the subnets: S3's gateway endpoint works through them."
  }

  validation {
    condition     = alltrue([for cidr in try(var.vpc_endpoints.cidrs, []) : can(cidrhost(cidr, 0))])
    error_message = "vpc_endpoints.cidrs must hold ranges such as \"10.0.0.0/16\" or \"fd00::/8\": correct ${join(", ", [for cidr in try(var.vpc_endpoints.cidrs, []) : cidr if !can(cidrhost(cidr, 0))])}."
  }
}

# Size

variable "initial_size" {
  description = "How many instances a new group starts with. From then on the group belongs to whoever scales it, unless `desired_capacity` is set."
  type        = number
  default     = 3

  validation {
    condition     = var.initial_size >= 1 && floor(var.initial_size) == var.initial_size
    error_message = "initial_size must be a whole number from 1: 1, 3, 5 or 7 servers, 3 for an ensemble that outlives the loss of one."
  }
}

variable "desired_capacity" {
  description = "How many instances there are to be, kept so by each apply. null leaves it to whoever scales the group."
  type        = number
  default     = null

  validation {
    condition     = var.desired_capacity == null ? true : var.desired_capacity >= 0 && floor(var.desired_capacity) == var.desired_capacity
    error_message = "desired_capacity must be a whole number: 0 empties the group (with min_size = 0), null leaves its size alone."
  }

  validation {
    condition     = var.desired_capacity == null ? true : var.desired_capacity >= var.min_size && var.desired_capacity <= var.max_size
    error_message = "desired_capacity is ${coalesce(var.desired_capacity, -1)}, outside of min_size (${var.min_size}) to max_size (${var.max_size}): change it or the bound that is in its way."
  }
}

variable "min_size" {
  description = "The fewest instances that anyone may scale the group to. 0 allows to empty it."
  type        = number
  default     = 1

  validation {
    condition     = var.min_size >= 0 && floor(var.min_size) == var.min_size
    error_message = "min_size must be a whole number from 0."
  }

  validation {
    condition     = var.min_size <= var.initial_size
    error_message = "min_size (${var.min_size}) is above initial_size (${var.initial_size}): lower it, or raise initial_size."
  }
}

variable "max_size" {
  description = "The most instances that anyone may scale the group to. Voters are at most `settings.ensemble.max_voters` (5); the others are observers, ready to take a voter's place."
  type        = number
  default     = 9

  validation {
    condition     = var.max_size >= var.initial_size && floor(var.max_size) == var.max_size
    error_message = "max_size (${var.max_size}) is below initial_size (${var.initial_size}): raise it, or lower initial_size."
  }
}

# Instances

variable "instance_type" {
  description = "The instances' type. The image's architecture must be its own."
  type        = string
  default     = "m7i.large"
}

variable "ami" {
  description = "The image: an `id`, the `manifest` of `make ami` (build/ami.json), or else the newest of a `name` (`*` and `?` match). It is looked for among images of these `owners`."
  type = object({
    id       = optional(string)
    manifest = optional(string)
    name     = optional(string, "zkboot-*")
    owners   = optional(list(string), ["self"])
  })
  default = {}

  validation {
    condition     = var.ami.id == null ? true : can(regex("^ami-[0-9a-f]{8,17}$", var.ami.id))
    error_message = "ami.id must be an image's id such as \"ami-0123456789abcdef0\"."
  }

  validation {
    condition     = var.ami.id == null || var.ami.manifest == null
    error_message = "ami.id and ami.manifest both name the image: leave one of them out."
  }

  validation {
    condition     = var.ami.manifest == null ? true : fileexists(var.ami.manifest)
    error_message = "ami.manifest: there is no file ${coalesce(var.ami.manifest, "-")}: run `make ami`, which writes build/ami.json, or correct the path."
  }
}

variable "key_name" {
  description = "An EC2 key pair for SSH. null allows none: `session_manager` is the way in."
  type        = string
  default     = null
}

variable "session_manager" {
  description = "Whether the instances may be reached by SSM's session manager, whose agent the image must hold."
  type        = bool
  default     = false
}

variable "spread" {
  description = "Whether a placement group keeps the instances of a zone on different hardware. At most seven instances a zone run in it."
  type        = bool
  default     = false
}

variable "root_volume" {
  description = "The root volume, gp3: its size in GiB. Without a data volume ZooKeeper's data are on it too."
  type = object({
    size = optional(number, 20)
  })
  default = {}

  validation {
    condition     = var.root_volume.size >= 8
    error_message = "root_volume.size is in GiB and must be at least 8, for the system, its logs and heap dumps."
  }
}

variable "data_volume" {
  description = "A volume of its own for ZooKeeper's data, gp3: size in GiB, IOPS, throughput in MiB/s. null is none. It ends with its instance: a server that is replaced takes its data from the others."
  type = object({
    size       = number
    iops       = optional(number, 3000)
    throughput = optional(number, 125)
  })
  default = null

  validation {
    condition     = var.data_volume == null ? true : var.data_volume.size >= 1 && var.data_volume.size <= 65536
    error_message = "data_volume.size is in GiB, 1 to 65536."
  }

  validation {
    condition     = var.data_volume == null ? true : var.data_volume.iops >= 3000 && var.data_volume.iops <= 80000 && var.data_volume.throughput >= 125 && var.data_volume.throughput <= 2000
    error_message = "data_volume: gp3 has 3000 to 80000 IOPS and a throughput of 125 to 2000 MiB/s."
  }

  # EC2 says so only when an instance is launched.
  validation {
    condition     = var.data_volume == null ? true : var.data_volume.iops <= max(3000, 500 * var.data_volume.size) && var.data_volume.throughput <= var.data_volume.iops / 4
    error_message = "data_volume: gp3 has at most 500 IOPS a GiB (3000 at the least) and 0.25 MiB/s a IOPS, so ${try(var.data_volume.size, 0)} GiB have up to ${try(max(3000, 500 * var.data_volume.size), 0)} IOPS, and ${try(var.data_volume.iops, 0)} IOPS a throughput of up to ${try(floor(var.data_volume.iops / 4), 0)} MiB/s, or no instance would launch: raise size or iops, or ask for less."
  }
}

variable "settings" {
  description = "Settings of zkboot by section and key, as in /etc/zkboot/zkboot.toml, for example { zookeeper = { snap_count = 50000, extra = { maxCnxns = 1000 } } }. settings.json beside this file lists them all; those that this module sets itself are refused."
  type        = any
  default     = {}

  validation {
    condition = alltrue([
      for name in flatten([for section, values in var.settings : [for key in try(keys(values), []) : "${section}.${key}"]]) :
      contains(keys(local.known_settings), name)
    ]) && alltrue([for section, values in var.settings : can(keys(values))])
    error_message = "settings: zkboot knows no ${join(", ", concat(
      [for section, values in var.settings : section if !can(keys(values))],
      [
        for name in flatten([for section, values in var.settings : [for key in try(keys(values), []) : "${section}.${key}"]]) :
        name if !contains(keys(local.known_settings), name)
      ],
    ))}: settings.json lists what there is, by section and key; any key of zoo.cfg goes into zookeeper.extra."
  }

  validation {
    condition = !anytrue([
      for name in flatten([for section, values in var.settings : [for key in try(keys(values), []) : "${section}.${key}"]]) :
      contains(local.own_settings, name)
    ])
    error_message = "settings: this module sets ${join(", ", [
      for name in flatten([for section, values in var.settings : [for key in try(keys(values), []) : "${section}.${key}"]]) :
      name if contains(local.own_settings, name)
    ])} itself: leave it out."
  }

  validation {
    condition = alltrue(flatten([
      for section, values in var.settings : [
        for key in try(keys(values), []) :
        can(regex(local.json_forms[local.known_settings["${section}.${key}"].type], jsonencode(values[key])))
        if contains(keys(local.known_settings), "${section}.${key}") && values[key] != null
      ]
    ]))
    error_message = "settings: ${join(", ", flatten([
      for section, values in var.settings : [
        for key in try(keys(values), []) : "${section}.${key} must be of type ${local.known_settings["${section}.${key}"].type}"
        if contains(keys(local.known_settings), "${section}.${key}") && values[key] != null &&
        !can(regex(local.json_forms[local.known_settings["${section}.${key}"].type], jsonencode(values[key])))
      ]
    ]))}."
  }

  validation {
    condition     = can(regex("^backups/[A-Za-z0-9._/-]+/$", coalesce(try(var.settings.backup.prefix, null), "backups/orders/")))
    error_message = "settings.backup.prefix is \"${try(var.settings.backup.prefix, "")}\": it must begin with backups/, go on with letters, digits and . _ / - only, and end with a slash, such as backups/orders/. The bucket's lifecycle rules reach nothing else, so that they never reach the record under control/; and to the node's policy * and ? would be the backups of others."
  }
}

# The group's ways

variable "launch_timeout" {
  description = "Seconds after which an instance that does not yet serve is given up and replaced."
  type        = number
  default     = 3600

  validation {
    condition     = var.launch_timeout >= 30 && var.launch_timeout <= 7200
    error_message = "launch_timeout is in seconds, 30 to 7200: so long may a lifecycle hook wait."
  }

  validation {
    condition     = var.launch_timeout > local.bootstrap_timeout
    error_message = "launch_timeout (${var.launch_timeout} s) must be longer than settings.timing.bootstrap_timeout (${local.bootstrap_timeout} s): the group would end instances that still wait for the others."
  }
}

variable "termination_timeout" {
  description = "Seconds without a sign of life after which an instance that is being taken is ended without having left the ensemble. While it lives and still leaves, it asks for more."
  type        = number
  default     = 300

  validation {
    condition     = var.termination_timeout >= 30 && var.termination_timeout <= 7200
    error_message = "termination_timeout is in seconds, 30 to 7200: so long may a lifecycle hook wait."
  }
}

variable "instance_refresh" {
  description = "What a changed image, type or setting does to the instances that run: replaced one after the other, each only once its successor serves, with a pause of `checkpoint_delay` seconds at each of `checkpoint_percentages`, of which a last one below 100 leaves the rest as they are. null replaces none: the change counts for the next launch."
  type = object({
    checkpoint_percentages = optional(list(number), [20, 50, 100])
    checkpoint_delay       = optional(number, 300)
  })
  default = {}

  validation {
    condition = var.instance_refresh == null ? true : alltrue([
      for index, percentage in var.instance_refresh.checkpoint_percentages :
      percentage <= 100 && percentage > (index == 0 ? 0 : var.instance_refresh.checkpoint_percentages[index - 1])
    ])
    error_message = "instance_refresh.checkpoint_percentages must rise, from above 0 to at most 100, such as [20, 50, 100]."
  }
}

# Storage, identity, logs

variable "bucket" {
  description = "The bucket of record, reports and backups. Without a `name` one is made; with one and `create = false` yours is used, which must be versioned. A bucket that is not empty is only destroyed with `force_destroy`. `undo_days`: how long a backup that was deleted or overwritten can be brought back."
  type = object({
    name          = optional(string)
    create        = optional(bool, true)
    force_destroy = optional(bool, false)
    undo_days     = optional(number, 90)
  })
  default = {}

  validation {
    condition     = var.bucket.create || var.bucket.name != null
    error_message = "bucket.create is false: give the name of your bucket in bucket.name."
  }

  validation {
    condition     = var.bucket.name == null ? true : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket.name))
    error_message = "bucket.name must be 3 to 63 of a-z, 0-9, - and ., beginning and ending with a letter or digit."
  }

  validation {
    condition     = var.bucket.name == null ? true : !can(regex("^(xn--|sthree-|amzn-s3-demo-)|(-s3alias|--ol-s3|\\.mrap|--x-s3|--table-s3)$", var.bucket.name))
    error_message = "bucket.name: S3 reserves the beginnings xn--, sthree-, amzn-s3-demo- and the ends -s3alias, --ol-s3, .mrap, --x-s3, --table-s3: choose another name."
  }

  validation {
    condition     = var.bucket.undo_days >= 7
    error_message = "bucket.undo_days must be at least 7: a mistake is rarely noticed within a day."
  }
}

variable "kms_key_arn" {
  description = "A KMS key of your own for the volumes, the bucket and the log group. Its policy must leave its use to the account's IAM policies (as the default one does), and allow it to CloudWatch Logs and to the service-linked role of Auto Scaling, without which no instance launches. null takes AWS's keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn must be a key's ARN (arn:aws:kms:REGION:ACCOUNT:key/ID), not an alias: the node's policy names it."
  }
}

variable "role" {
  description = "The instances' role. A `name`, known when Terraform plans (not one of a `name_prefix`), takes a role of yours, to which you attach the policies of the output `node_policies`; otherwise one is made, with this `permissions_boundary`."
  type = object({
    name                 = optional(string)
    permissions_boundary = optional(string)
  })
  default = {}

  validation {
    condition     = var.role.name == null || var.role.permissions_boundary == null
    error_message = "role.permissions_boundary is for a role that is made here: set it on your own role ${coalesce(var.role.name, "-")} yourself."
  }
}

variable "log_retention_days" {
  description = "For how many days the log group keeps what the instances write. 0 is for ever."
  type        = number
  default     = 365

  validation {
    condition     = contains([0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch Logs has: 0 (for ever), 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "alarms" {
  description = "The alarms, and the SNS topics that hear of them. `backup_age`: seconds after which the last verified backup is too old. `disk_percent`: how full a disk may be. null makes none."
  type = object({
    topic_arns   = optional(list(string), [])
    backup_age   = optional(number, 180000)
    disk_percent = optional(number, 80)
  })
  default = {}

  validation {
    condition     = var.alarms == null ? true : var.alarms.disk_percent > 0 && var.alarms.disk_percent < 100
    error_message = "alarms.disk_percent must be above 0 and below 100."
  }

  validation {
    condition     = var.alarms == null ? true : var.alarms.backup_age >= 60
    error_message = "alarms.backup_age is in seconds, at least 60: 180000 is two days and two hours."
  }

  validation {
    condition     = var.alarms == null ? true : var.alarms.backup_age > local.backup_interval
    error_message = "alarms.backup_age (${try(var.alarms.backup_age, 0)} s) must be longer than settings.backup.interval (${local.backup_interval} s), or no-fresh-backup would ring before each backup: two intervals and two hours leave room for one that fails."
  }
}

variable "tags" {
  description = "Tags of everything that is made. Instances show theirs in their metadata, which is why the keys may hold letters, digits and + - = . , _ : @ only."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.tags) : can(regex("^[A-Za-z0-9+=.,_:@-]{1,128}$", key)) && !contains([".", "..", "_index"], key)])
    error_message = "tags: ${join(", ", [for key in keys(var.tags) : "\"${key}\"" if !can(regex("^[A-Za-z0-9+=.,_:@-]{1,128}$", key)) || contains([".", "..", "_index"], key)])} cannot be shown in instance metadata, and no instance would launch: use letters, digits and + - = . , _ : @ only."
  }

  validation {
    condition     = !anytrue([for key in keys(var.tags) : startswith(lower(key), "aws:")])
    error_message = "tags: AWS reserves keys that begin with aws: rename ${join(", ", [for key in keys(var.tags) : key if startswith(lower(key), "aws:")])}."
  }

  validation {
    condition     = !anytrue([for key in keys(var.tags) : contains(["Name", "zkboot:cluster"], key)])
    error_message = "tags: Name and zkboot:cluster are set here: leave them out."
  }
}
