# The group, with its hooks.

locals {
  # zkboot completes both: the launch hook when the server serves, the termination hook when it has left the ensemble. An instance
  # that never came to serve is given up; one that is to go is never kept.
  hooks = {
    launch = {
      name       = local.known_settings["aws.launch_hook"].default
      transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
      timeout    = var.launch_timeout
      otherwise  = "ABANDON"
    }
    termination = {
      name       = local.known_settings["aws.termination_hook"].default
      transition = "autoscaling:EC2_INSTANCE_TERMINATING"
      timeout    = var.termination_timeout
      otherwise  = "CONTINUE"
    }
  }
}

resource "aws_placement_group" "this" {
  count = var.spread ? 1 : 0

  name     = local.name
  strategy = "spread"
  tags     = local.tags
}

# Whether the group is there already. A new one starts with initial_size; one that is there keeps the size that it has, because
# desired_capacity is then left out of the configuration and the provider takes over what AWS says. `ignore_changes` cannot depend
# on a variable, and a second group resource to choose from would replace the group, with all data, as soon as the choice changes.
data "aws_autoscaling_groups" "existing" {
  names = [local.name]
}

resource "aws_autoscaling_group" "this" {
  name                = local.name
  vpc_zone_identifier = var.subnet_ids
  placement_group     = one(aws_placement_group.this[*].name)

  min_size = var.min_size
  max_size = var.max_size
  desired_capacity = (
    var.desired_capacity != null ? var.desired_capacity :
    length(data.aws_autoscaling_groups.existing.arns) > 0 ? null : var.initial_size
  )

  # A group that Terraform gave up waiting for would be tainted, and replaced by the next apply with all that it holds.
  wait_for_capacity_timeout = "0"

  # EC2's health check alone: no other may end an instance that holds data.
  health_check_type         = "EC2"
  health_check_grace_period = 300

  # Rebalancing takes instances that nothing is wrong with, several at a time. Launches are balanced over the zones all the same.
  suspended_processes = ["AZRebalance"]
  capacity_rebalance  = false

  # The oldest template first; of equals the newest instance: it is most likely a spare, since spares take the dead voters' places.
  termination_policies = ["OldestLaunchTemplate", "NewestInstance"]

  # For the alarm on instances that do not come into service.
  enabled_metrics = ["GroupDesiredCapacity", "GroupInServiceInstances"]

  launch_template {
    id = aws_launch_template.this.id
    # This very version: an instance that fails at night is replaced by its like, not by what a newer template says.
    version = aws_launch_template.this.latest_version
  }

  # A successor serves before its predecessor goes: at 3 instances 110 % is one more.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 110
  }

  dynamic "instance_refresh" {
    for_each = var.instance_refresh[*]
    content {
      strategy = "Rolling"
      preferences {
        min_healthy_percentage       = 100
        max_healthy_percentage       = 110
        instance_warmup              = 0 # the launch hook is released when the server serves
        skip_matching                = true
        scale_in_protected_instances = "Wait"
        standby_instances            = "Wait"
        checkpoint_percentages       = instance_refresh.value.checkpoint_percentages
        checkpoint_delay             = instance_refresh.value.checkpoint_delay
      }
    }
  }

  # With these the provider makes the group empty, puts the hooks and only then sets its size: nothing launches without its hook.
  # They count at creation alone, and the provider would replace the group for a change: hence ignore_changes, and the resources
  # below, which take over the same hooks by name and change them in place.
  dynamic "initial_lifecycle_hook" {
    for_each = local.hooks
    content {
      name                 = initial_lifecycle_hook.value.name
      lifecycle_transition = initial_lifecycle_hook.value.transition
      heartbeat_timeout    = initial_lifecycle_hook.value.timeout
      default_result       = initial_lifecycle_hook.value.otherwise
    }
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template tags what it launches
    }
  }

  lifecycle {
    ignore_changes = [initial_lifecycle_hook]

    precondition {
      condition = length(local.zones) >= var.min_zones
      error_message = join("", [
        "subnet_ids span ${length(local.zones)} zone(s) (${join(", ", local.zones)}) and min_zones is ${var.min_zones}: name one subnet in ",
        "each of three zones, so that a quorum outlives the loss of a zone; an ensemble for tests may set min_zones = ${length(local.zones)}.",
      ])
    }
  }

  # All that the first instance needs is there before it, and goes after the last one.
  depends_on = [
    aws_iam_role_policy.node,
    aws_s3_bucket_ownership_controls.this,
    aws_s3_bucket_policy.this,
    aws_s3_bucket_server_side_encryption_configuration.this,
    aws_s3_bucket_versioning.this,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_egress_rule.aws,
    aws_vpc_security_group_egress_rule.members,
    aws_vpc_security_group_ingress_rule.endpoints,
    aws_vpc_security_group_ingress_rule.members,
  ]
}

# PutLifecycleHook of a name that is there changes it, so these take over the hooks that the group was made with. `terraform destroy`
# removes them before the group: instances that wait are let go at once, and destroy ends without waiting for a hook.
resource "aws_autoscaling_lifecycle_hook" "this" {
  for_each = local.hooks

  autoscaling_group_name = aws_autoscaling_group.this.name
  name                   = each.value.name
  lifecycle_transition   = each.value.transition
  heartbeat_timeout      = each.value.timeout
  default_result         = each.value.otherwise
}

check "odd_size" {
  assert {
    condition     = local.size % 2 == 1 || local.size == 0
    error_message = "${local.size} instances: an even number bears the loss of no more servers than ${local.size - 1} do, since zkboot lets an odd number of them vote. The other is a warm spare."
  }
}

check "size_at_most_seven" {
  assert {
    condition     = local.size <= 7
    error_message = "${local.size} instances: at most settings.ensemble.max_voters of them vote, the others are observers; more than 7 voters make every write slower."
  }
}
