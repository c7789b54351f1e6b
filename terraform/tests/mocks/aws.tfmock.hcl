# An account of AWS that has what the stack looks up: three subnets of one VPC in three zones, and an image.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = {
    partition  = "aws"
    dns_suffix = "amazonaws.com"
  }
}

mock_data "aws_region" {
  defaults = { region = "eu-west-1" }
}

mock_data "aws_ec2_instance_type" {
  defaults = { supported_architectures = ["x86_64"] }
}

mock_data "aws_ami_ids" {
  defaults = { ids = ["ami-0000000000000002", "ami-0000000000000001"] }
}

mock_data "aws_ami" {
  defaults = {
    id               = "ami-0000000000000002"
    root_device_name = "/dev/xvda"
  }
}

mock_data "aws_subnets" {
  defaults = { ids = ["subnet-a", "subnet-b", "subnet-c"] }
}

mock_data "aws_subnet" {
  defaults = { vpc_id = "vpc-1" }
}

override_data {
  target = data.aws_subnet.given[0]
  values = { vpc_id = "vpc-1", availability_zone = "eu-west-1a" }
}

override_data {
  target = data.aws_subnet.given[1]
  values = { vpc_id = "vpc-1", availability_zone = "eu-west-1b" }
}

override_data {
  target = data.aws_subnet.given[2]
  values = { vpc_id = "vpc-1", availability_zone = "eu-west-1c" }
}

mock_data "aws_autoscaling_groups" {
  defaults = { arns = [] }
}

mock_resource "aws_iam_instance_profile" {
  defaults = { arn = "arn:aws:iam::123456789012:instance-profile/zkboot-orders" }
}

mock_resource "aws_launch_template" {
  defaults = {
    id             = "lt-00000000000000001"
    latest_version = 1
  }
}
