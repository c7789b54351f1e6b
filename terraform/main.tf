# Names and facts that several files share.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  # The group's name is a part of the record's scope: a group of another name would have to be adopted.
  name = "zkboot-${var.cluster}"

  # Launch templates pass no default tags on to what they launch, so the tags are given to them too.
  tags = merge(var.tags, { Name = local.name, "zkboot:cluster" = var.cluster })

  # Every setting of zkboot with its type and default, written by reference.py from zkboot/settings_keys.py.
  known_settings = jsondecode(file("${path.module}/settings.json"))

  # What a setting of each type looks like in JSON.
  json_forms = {
    str     = "^\""
    int     = "^-?[0-9]+$"
    float   = "^-?[0-9.]+$"
    tuple   = "^\\["
    Mapping = "^\\{"
  }

  # This module sets these itself, and the node's policy reaches no other secret and no other witness.
  own_settings = [
    "cluster", "aws.bucket", "aws.group", "aws.log_group", "aws.launch_hook", "aws.termination_hook", "aws.secret", "aws.witness",
    "node.volume",
  ]

  ports = {
    for name in ["client", "quorum", "election"] :
    name => coalesce(try(var.settings.zookeeper["${name}_port"], null), local.known_settings["zookeeper.${name}_port"].default)
  }

  # Seconds that a boot may take.
  bootstrap_timeout = coalesce(try(var.settings.timing.bootstrap_timeout, null), local.known_settings["timing.bootstrap_timeout"].default)

  # Seconds from one backup to the next; 0 is never.
  backup_interval = coalesce(try(var.settings.backup.interval, null), local.known_settings["backup.interval"].default)

  # How many there are to be as far as Terraform knows: the group belongs to whoever scales it.
  size = coalesce(var.desired_capacity, var.initial_size)

  # How many of them vote at most.
  voters = min(local.size, coalesce(try(var.settings.ensemble.max_voters, null), local.known_settings["ensemble.max_voters"].default))
}
