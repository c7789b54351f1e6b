# Who says how many instances there are. These runs follow each other in one state, as applies do.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  cluster    = "orders"
  subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "a_new_group_starts_with_initial_size" {
  assert {
    condition     = aws_autoscaling_group.this.desired_capacity == 3
    error_message = "a new group starts with initial_size"
  }
}

run "terraform_scales_when_told" {
  variables {
    desired_capacity = 5
  }

  override_data {
    target = data.aws_autoscaling_groups.existing
    values = { arns = ["arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/zkboot-orders"] }
  }

  assert {
    condition     = aws_autoscaling_group.this.desired_capacity == 5
    error_message = "desired_capacity counts when it is set"
  }

  assert {
    condition     = output.group_arn == run.a_new_group_starts_with_initial_size.group_arn
    error_message = "the group is the same one"
  }
}

run "a_group_that_is_there_keeps_its_size" {
  override_data {
    target = data.aws_autoscaling_groups.existing
    values = { arns = ["arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/zkboot-orders"] }
  }

  assert {
    condition     = aws_autoscaling_group.this.desired_capacity == 5
    error_message = "left out, desired_capacity is what AWS has, not initial_size"
  }

  assert {
    condition     = output.group_arn == run.a_new_group_starts_with_initial_size.group_arn
    error_message = "the group is the same one"
  }
}

run "an_emptied_group" {
  variables {
    desired_capacity = 0
    min_size         = 0
  }

  assert {
    condition     = aws_autoscaling_group.this.desired_capacity == 0
    error_message = "0 is a size, not a size that was left out"
  }
}

run "an_even_size_is_warned_of" {
  command = plan

  variables {
    initial_size = 4
  }

  expect_failures = [check.odd_size]
}

run "more_than_seven_are_warned_of" {
  command = plan

  variables {
    desired_capacity = 9
  }

  expect_failures = [check.size_at_most_seven]
}
