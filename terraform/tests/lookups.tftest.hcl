# What is looked up in AWS, and the sentence where it is not as it must be.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  cluster    = "orders"
  subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "the_newest_image_of_the_name" {
  command = plan

  assert {
    condition     = local.ami_filter.name == "name" && one(local.ami_filter.values) == "zkboot-*"
    error_message = "without anything said, images are looked for by name"
  }

  assert {
    condition     = aws_launch_template.this.image_id == "ami-0000000000000002"
    error_message = "AWS lists the newest first"
  }
}

run "an_image_by_its_id" {
  command = plan

  variables {
    ami = { id = "ami-0123456789abcdef0" }
  }

  assert {
    condition     = local.ami_filter.name == "image-id" && one(local.ami_filter.values) == "ami-0123456789abcdef0"
    error_message = "an id that is given is the only candidate"
  }
}

run "an_image_of_packers_manifest" {
  command = plan

  variables {
    ami = { manifest = "tests/mocks/ami.json" }
  }

  assert {
    condition     = one(local.ami_filter.values) == "ami-00000000000000ccc"
    error_message = "the newest build's image in this region"
  }
}

run "no_image_in_the_manifest_for_this_region" {
  command = plan

  variables {
    ami = { manifest = "tests/mocks/ami.json" }
  }

  override_data {
    target = data.aws_region.current
    values = { region = "ap-southeast-2" }
  }

  override_data {
    target = data.aws_ami_ids.candidates
    values = { ids = [] }
  }

  expect_failures = [data.aws_ami_ids.candidates]
}

run "no_image" {
  command = plan

  override_data {
    target = data.aws_ami_ids.candidates
    values = { ids = [] }
  }

  expect_failures = [data.aws_ami_ids.candidates]
}

run "a_subnet_that_is_not_there" {
  command = plan

  override_data {
    target = data.aws_subnets.given
    values = { ids = ["subnet-a", "subnet-b"] }
  }

  expect_failures = [data.aws_subnets.given]
}

run "subnets_of_two_vpcs" {
  command = plan

  override_data {
    target = data.aws_subnet.given[2]
    values = { vpc_id = "vpc-2", availability_zone = "eu-west-1c" }
  }

  expect_failures = [aws_security_group.members]
}

run "one_subnet" {
  command = plan

  variables {
    subnet_ids = ["subnet-a"]
  }

  expect_failures = [aws_autoscaling_group.this]
}

run "one_subnet_for_tests" {
  command = plan

  variables {
    subnet_ids = ["subnet-a"]
    min_zones  = 1
  }

  assert {
    condition     = aws_autoscaling_group.this.vpc_zone_identifier == toset(["subnet-a"])
    error_message = "one zone is enough where that is said"
  }
}

run "an_image_larger_than_its_volume" {
  command = plan

  override_data {
    target = data.aws_ami.this
    values = {
      root_device_name      = "/dev/xvda"
      block_device_mappings = [{ device_name = "/dev/xvda", ebs = { volume_size = "30" } }]
    }
  }

  expect_failures = [aws_launch_template.this]
}

run "an_image_as_large_as_its_volume" {
  command = plan

  variables {
    root_volume = { size = 30 }
  }

  override_data {
    target = data.aws_ami.this
    values = {
      root_device_name      = "/dev/xvda"
      block_device_mappings = [{ device_name = "/dev/xvda", ebs = { volume_size = "30" } }]
    }
  }

  assert {
    condition     = local.image_size == 30
    error_message = "what the image says of its root volume"
  }
}

run "two_subnets_of_one_zone" {
  command = plan

  variables {
    subnet_ids    = ["subnet-a", "subnet-b", "subnet-c"]
    min_zones     = 2
    vpc_endpoints = { route_table_ids = ["rtb-1"] }
  }

  override_data {
    target = data.aws_subnet.given[2]
    values = { vpc_id = "vpc-1", availability_zone = "eu-west-1b" }
  }

  assert {
    condition     = aws_vpc_endpoint.interface["ssm"].subnet_ids == toset(["subnet-a", "subnet-b"])
    error_message = "an endpoint takes one subnet a zone"
  }
}

run "user_data_too_long" {
  command = plan

  variables {
    settings = { zookeeper = { extra = { note = join("", [for number in range(1000) : "as long as that"]) } } }
  }

  expect_failures = [aws_launch_template.this]
}
