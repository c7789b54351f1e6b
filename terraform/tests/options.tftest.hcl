# What there is with nothing said, and what each option adds, takes away or changes.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  cluster    = "orders"
  subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "with_nothing_said" {
  command = plan

  assert {
    condition = (
      length(aws_placement_group.this) == 0 && length(aws_vpc_endpoint.interface) == 0 && length(aws_vpc_endpoint.s3) == 0 &&
      length(aws_security_group.endpoints) == 0 && length(aws_vpc_security_group_ingress_rule.endpoints) == 0 &&
      length(aws_vpc_security_group_ingress_rule.endpoint_ranges) == 0 &&
      length(aws_vpc_security_group_ingress_rule.client_groups) == 0 && length(aws_vpc_security_group_ingress_rule.client_ranges) == 0
    )
    error_message = "no option that was not asked for"
  }

  assert {
    condition     = keys(aws_iam_role_policy.node) == ["node"]
    error_message = "the role has the node's policy alone"
  }

  assert {
    condition     = { for name, rule in aws_vpc_security_group_ingress_rule.members : name => rule.from_port } == { client = 2181, election = 3888, quorum = 2888 }
    error_message = "members reach each other on ZooKeeper's three ports"
  }

  assert {
    condition     = aws_launch_template.this.key_name == null && aws_launch_template.this.metadata_options[0].http_tokens == "required" && aws_launch_template.this.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "no SSH key; instance metadata of version 2 only, within the instance only"
  }

  assert {
    condition     = [for mapping in aws_launch_template.this.block_device_mappings : [mapping.device_name, mapping.ebs[0].volume_type, mapping.ebs[0].encrypted]] == [["/dev/xvda", "gp3", "true"]]
    error_message = "the root volume alone, encrypted"
  }

  assert {
    condition     = aws_autoscaling_group.this.wait_for_capacity_timeout == "0" && aws_autoscaling_group.this.health_check_type == "EC2" && aws_autoscaling_group.this.suspended_processes == toset(["AZRebalance"])
    error_message = "nothing but EC2's own checks ends an instance, and no wait taints the group"
  }

  assert {
    condition     = aws_s3_bucket_versioning.this[0].versioning_configuration[0].status == "Enabled" && aws_s3_bucket.this[0].force_destroy == false
    error_message = "the bucket is versioned, and not destroyed with what it holds"
  }

  assert {
    condition = (
      length(aws_s3_bucket.this) * length(aws_s3_bucket_policy.this) * length(aws_s3_bucket_lifecycle_configuration.this) *
      length(aws_s3_bucket_server_side_encryption_configuration.this) * length(aws_s3_bucket_public_access_block.this) *
      length(aws_s3_bucket_ownership_controls.this) * length(aws_security_group.members) * length(aws_iam_role.node) == 1
    )
    error_message = "a bucket with all that makes it safe, a security group, a role"
  }

  assert {
    condition     = length(aws_autoscaling_lifecycle_hook.this) == 2 && keys(aws_vpc_security_group_egress_rule.members) == ["client", "election", "quorum"] && keys(aws_vpc_security_group_egress_rule.aws) == ["0.0.0.0/0"]
    error_message = "two hooks; instances open connections to each other and to AWS"
  }

  assert {
    condition     = aws_s3_bucket.this[0].bucket == "zkboot-orders-${substr(sha256("aws/123456789012/eu-west-1"), 0, 12)}"
    error_message = "the same cluster, account and region have the same bucket"
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.ensemble)) == toset(["disk-filling", "halted", "no-fresh-backup", "no-quorum", "no-tolerance"]) && length(aws_cloudwatch_metric_alarm.boot_failed) == 1
    error_message = "all alarms"
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.ensemble), aws_cloudwatch_metric_alarm.boot_failed) : alarm.treat_missing_data == "breaching"])
    error_message = "no data is no good news"
  }

  assert {
    condition     = !strcontains(base64decode(yamldecode(local.user_data).write_files[0].content), "volume")
    error_message = "zkboot waits for no volume"
  }
}

run "with_everything_asked_for" {
  command = plan

  variables {
    clients = {
      security_groups = { applications = "sg-1" }
      cidrs           = ["10.0.0.0/16", "fd00::/8"]
    }
    egress_cidrs    = ["10.0.0.0/16", "::/0"]
    vpc_endpoints   = { route_table_ids = ["rtb-1"], cidrs = ["10.0.0.0/16", "fd00::/8"] }
    key_name        = "mine"
    session_manager = true
    spread          = true
    data_volume     = { size = 200, iops = 80000, throughput = 2000 }
    kms_key_arn     = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    role            = { permissions_boundary = "arn:aws:iam::123456789012:policy/limits" }
    bucket          = { force_destroy = true, undo_days = 30 }
    alarms          = { topic_arns = ["arn:aws:sns:eu-west-1:123456789012:ops"] }
    tags            = { team = "storage" }
    settings        = { zookeeper = { client_port = 12181, quorum_port = null, extra = { maxCnxns = 1000 } } }
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.client_ranges["10.0.0.0/16"].cidr_ipv4 == "10.0.0.0/16" && aws_vpc_security_group_ingress_rule.client_ranges["fd00::/8"].cidr_ipv6 == "fd00::/8"
    error_message = "ranges of both families"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.client_groups["applications"].from_port == 12181 && aws_vpc_security_group_ingress_rule.members["client"].to_port == 12181 && output.client_port == 12181
    error_message = "the rules follow the ports of the settings"
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_egress_rule.aws)) == toset(["10.0.0.0/16", "::/0"])
    error_message = "HTTPS goes where it was allowed to"
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["autoscaling", "ec2", "logs", "ssm", "ssmmessages"]) && length(aws_vpc_endpoint.s3) == 1 && length(aws_security_group.endpoints) == 1 && length(aws_vpc_security_group_ingress_rule.endpoints) == 1
    error_message = "an endpoint for each service that a node calls"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoint_ranges["10.0.0.0/16"].cidr_ipv4 == "10.0.0.0/16" && aws_vpc_security_group_ingress_rule.endpoint_ranges["fd00::/8"].cidr_ipv6 == "fd00::/8"
    error_message = "others of the VPC may use the endpoints"
  }

  assert {
    condition     = length(aws_placement_group.this) == 1 && aws_autoscaling_group.this.placement_group == "zkboot-orders" && aws_launch_template.this.key_name == "mine"
    error_message = "spread over the hardware, with a key for SSH"
  }

  assert {
    condition     = keys(aws_iam_role_policy.node) == ["node", "session-manager"] && strcontains(aws_iam_role_policy.node["node"].policy, "\"BucketKey\"") && aws_iam_role.node[0].permissions_boundary == "arn:aws:iam::123456789012:policy/limits"
    error_message = "the role may use the key and take part in sessions, within its boundary"
  }

  assert {
    condition     = { for mapping in aws_launch_template.this.block_device_mappings : mapping.device_name => [mapping.ebs[0].volume_size, mapping.ebs[0].kms_key_id] } == { "/dev/sdf" = [200, var.kms_key_arn], "/dev/xvda" = [20, var.kms_key_arn] }
    error_message = "both volumes under the key"
  }

  assert {
    condition     = strcontains(base64decode(yamldecode(local.user_data).write_files[0].content), "volume = \"/var/lib/zookeeper\"")
    error_message = "zkboot waits for the data volume"
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this[0].rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "bucket and log group under the key"
  }

  assert {
    condition     = aws_s3_bucket.this[0].force_destroy && aws_s3_bucket_lifecycle_configuration.this[0].rule[1].noncurrent_version_expiration[0].noncurrent_days == 30
    error_message = "the bucket is destroyed with what it holds, and undoes for thirty days"
  }

  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.ensemble), aws_cloudwatch_metric_alarm.boot_failed) : one(alarm.alarm_actions) == "arn:aws:sns:eu-west-1:123456789012:ops"])
    error_message = "each alarm is told to the topic"
  }

  assert {
    condition     = alltrue([for specification in aws_launch_template.this.tag_specifications : specification.tags == tomap({ Name = "zkboot-orders", team = "storage", "zkboot:cluster" = "orders" })])
    error_message = "what is launched has the tags too"
  }
}

run "with_what_is_there_already" {
  command = plan

  variables {
    security_group_ids = ["sg-1", "sg-2"]
    clients            = { security_groups = { applications = "sg-3" }, cidrs = ["10.0.0.0/16"] }
    vpc_endpoints      = { route_table_ids = ["rtb-1"] }
    role               = { name = "mine" }
    bucket             = { name = "ours", create = false }
    alarms             = null
    instance_refresh   = null
  }

  assert {
    condition = (
      length(aws_security_group.members) + length(aws_vpc_security_group_ingress_rule.members) + length(aws_vpc_security_group_egress_rule.members) +
      length(aws_vpc_security_group_ingress_rule.client_groups) + length(aws_vpc_security_group_ingress_rule.client_ranges) +
      length(aws_vpc_security_group_egress_rule.aws) == 0
    )
    error_message = "with security groups of your own, none is made and no rule"
  }

  assert {
    condition     = aws_launch_template.this.vpc_security_group_ids == toset(["sg-1", "sg-2"]) && length(aws_vpc_security_group_ingress_rule.endpoints) == 2
    error_message = "the instances are in your groups, and both reach the endpoints"
  }

  assert {
    condition     = length(aws_iam_role.node) + length(aws_iam_role_policy.node) == 0 && aws_iam_instance_profile.node.role == "mine"
    error_message = "your role is used, and left as it is"
  }

  assert {
    condition = (
      length(aws_s3_bucket.this) + length(aws_s3_bucket_versioning.this) + length(aws_s3_bucket_server_side_encryption_configuration.this) +
      length(aws_s3_bucket_public_access_block.this) + length(aws_s3_bucket_ownership_controls.this) + length(aws_s3_bucket_policy.this) +
      length(aws_s3_bucket_lifecycle_configuration.this) == 0
    )
    error_message = "your bucket is used, and left as it is"
  }

  assert {
    condition     = output.bucket == "ours" && strcontains(output.node_policies.node, "arn:aws:s3:::ours/control/orders/*")
    error_message = "the node's policy speaks of your bucket"
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.ensemble) + length(aws_cloudwatch_metric_alarm.boot_failed) == 0
    error_message = "no alarms"
  }

  assert {
    condition     = length(aws_autoscaling_group.this.instance_refresh) == 0
    error_message = "no instance refresh"
  }
}

run "a_small_ensemble_has_no_tolerance_to_lose" {
  command = plan

  variables {
    initial_size = 1
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.ensemble), "no-tolerance")
    error_message = "one server bears no loss, which is no news"
  }
}

run "two_voters_have_no_tolerance_to_lose" {
  command = plan

  variables {
    settings = { ensemble = { max_voters = 2 } }
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.ensemble), "no-tolerance")
    error_message = "two voters bear no loss, however many instances there are"
  }
}

run "without_backups" {
  command = plan

  variables {
    settings = { backup = { interval = 0 } }
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.ensemble), "no-fresh-backup")
    error_message = "no backup is fresh, as was wanted"
  }
}

run "backups_under_keys_of_their_own" {
  command = plan

  variables {
    settings = { backup = {
      sse          = "aws:kms"
      kms_key      = "arn:aws:kms:eu-west-1:123456789012:key/1"
      copy_bucket  = "copies"
      copy_region  = "eu-central-1"
      copy_kms_key = "alias/copies"
    } }
  }

  assert {
    condition = [
      for statement in jsondecode(aws_iam_role_policy.node["node"].policy).Statement : statement.Resource if statement.Sid == "BackupKeys"
    ] == [["arn:aws:kms:eu-west-1:123456789012:key/1"]]
    error_message = "the role may use the keys that have an ARN"
  }
}

run "in_another_partition" {
  command = plan

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  assert {
    condition     = !strcontains(join("", values(output.node_policies)), "arn:aws:") && !strcontains(aws_s3_bucket_policy.this[0].policy, "arn:aws:")
    error_message = "each ARN names the partition that it is in"
  }
}
