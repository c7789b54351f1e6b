# The hooks are there before the first launch, and change in place. These runs follow each other in one state, as applies do.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  cluster    = "orders"
  subnet_ids = ["subnet-a", "subnet-b", "subnet-c"]
}

run "created_with_its_hooks" {
  assert {
    condition = {
      for hook in aws_autoscaling_group.this.initial_lifecycle_hook :
      hook.name => [hook.lifecycle_transition, hook.heartbeat_timeout, hook.default_result]
      } == {
      for hook in aws_autoscaling_lifecycle_hook.this :
      hook.name => [hook.lifecycle_transition, hook.heartbeat_timeout, hook.default_result]
    }
    error_message = "the group is made with the very hooks that are resources of their own afterwards"
  }

  assert {
    condition     = aws_autoscaling_lifecycle_hook.this["launch"].default_result == "ABANDON" && aws_autoscaling_lifecycle_hook.this["termination"].default_result == "CONTINUE"
    error_message = "an instance that never serves is given up, one that is to go is let go"
  }
}

run "a_timeout_changes_in_place" {
  variables {
    launch_timeout      = 4000
    termination_timeout = 600
  }

  override_data {
    target = data.aws_autoscaling_groups.existing
    values = { arns = ["arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:1:autoScalingGroupName/zkboot-orders"] }
  }

  assert {
    condition     = aws_autoscaling_lifecycle_hook.this["launch"].heartbeat_timeout == 4000 && aws_autoscaling_lifecycle_hook.this["termination"].heartbeat_timeout == 600
    error_message = "the hooks have the new timeouts"
  }

  assert {
    condition     = toset([for hook in aws_autoscaling_group.this.initial_lifecycle_hook : hook.heartbeat_timeout]) == toset([3600, 300])
    error_message = "for the group, the hooks that it was made with stay as they were: nothing changes there"
  }

  assert {
    condition     = output.group_arn == run.created_with_its_hooks.group_arn
    error_message = "the group is the same one"
  }
}
