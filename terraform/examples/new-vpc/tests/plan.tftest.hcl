mock_provider "aws" {
  source = "../../tests/mocks"

  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1d"] }
  }
}

run "plans_in_three_zones" {
  command = plan

  assert {
    condition     = aws_subnet.this[*].availability_zone == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    error_message = "one subnet in each of three zones"
  }

  assert {
    condition     = aws_subnet.this[*].cidr_block == ["10.0.0.0/20", "10.0.16.0/20", "10.0.32.0/20"]
    error_message = "subnets beside each other in the VPC's range"
  }
}

run "says_that_the_region_has_too_few_zones" {
  command = plan

  override_data {
    target = data.aws_availability_zones.available
    values = { id = "us-west-1", names = ["us-west-1a", "us-west-1c"] }
  }

  expect_failures = [data.aws_availability_zones.available]
}
