# What wakes a person. The instances write zkboot's metrics into the log group, in CloudWatch's embedded format. No data is no good
# news, so missing data count as breaching.

locals {
  namespace = "zkboot"

  alarms = var.alarms == null ? {} : merge(
    {
      no-quorum = {
        metric     = "Quorum"
        statistic  = "Maximum"
        comparison = "LessThanThreshold"
        threshold  = 1
        minutes    = 3
        meaning    = "No member sees a leader that serves: clients can neither write nor read. Look at `zkboot status` and `zkboot plan` on a member."
      }
      disk-filling = {
        metric     = "DiskUsed"
        statistic  = "Maximum"
        comparison = "GreaterThanThreshold"
        threshold  = var.alarms.disk_percent
        minutes    = 5
        meaning    = "A member's disk is fuller than ${var.alarms.disk_percent} %: a full one stops its server. Give it a larger data_volume."
      }
      halted = {
        metric     = "Halted"
        statistic  = "Maximum"
        comparison = "GreaterThanThreshold"
        threshold  = 0
        minutes    = 2
        meaning    = "A member may not decide for itself. `zkboot plan` on it prints the commands for a person."
      }
    },
    # Who switches backups off wants none of them fresh.
    local.backup_interval == 0 ? {} : {
      no-fresh-backup = {
        metric     = "BackupAge"
        statistic  = "Minimum"
        comparison = "GreaterThanThreshold"
        threshold  = var.alarms.backup_age
        minutes    = 15
        meaning    = "The last verified backup is older than ${var.alarms.backup_age} s. Look at `zkboot backups` on a member."
      }
    },
    # One or two voters bear no loss at all.
    local.voters < 3 ? {} : {
      no-tolerance = {
        metric     = "Tolerance"
        statistic  = "Maximum"
        comparison = "LessThanThreshold"
        threshold  = 1
        minutes    = 10
        meaning    = "One more server lost, and the quorum is. Look at `zkboot status` on a member for what is missing."
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "ensemble" {
  for_each = local.alarms

  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.meaning
  namespace           = local.namespace
  metric_name         = each.value.metric
  dimensions          = { Cluster = var.cluster }
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarms.topic_arns
  ok_actions          = var.alarms.topic_arns
  tags                = local.tags
}

# From the group's own figures: an instance whose boot fails may never come to write a metric.
resource "aws_cloudwatch_metric_alarm" "boot_failed" {
  count = var.alarms == null ? 0 : 1

  alarm_name          = "${local.name}-boot-failed"
  alarm_description   = "Fewer instances are in service than desired, for longer than a boot may take. Look at /var/log/cloud-init-output.log of the one that is missing, and at the group's activities."
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  evaluation_periods  = ceil(local.bootstrap_timeout / 60)
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarms.topic_arns
  ok_actions          = var.alarms.topic_arns
  tags                = local.tags

  metric_query {
    id          = "missing"
    expression  = "desired - serving"
    label       = "instances that are missing"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { desired = "GroupDesiredCapacity", serving = "GroupInServiceInstances" }
    content {
      id = metric_query.key
      metric {
        namespace   = "AWS/AutoScaling"
        metric_name = metric_query.value
        dimensions  = { AutoScalingGroupName = aws_autoscaling_group.this.name }
        stat        = "Minimum"
        period      = 60
      }
    }
  }
}
