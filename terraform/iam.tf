# The instances' identity. policies/node.json.tftpl is what every node may do, and the lab enforces that very file. It speaks of
# this cluster's own prefixes, parameters, group and log group alone. Its only `*`:
# - SeeGroupAndInstances: EC2's and Auto Scaling's Describe calls know neither resources nor tags.
# - OwnLifecycleHooks: the `*` in the ARN is the group's unique id, which is not known before the group is.
# - SeeOwnObjects: a GET of an object that is not there is answered with 404 only to who may list, and S3 decides that without
#   a prefix: hence the condition IfExists. It lets a node list the keys of a bucket that clusters share, but read none of them.

locals {
  own_role = var.role.name == null

  backup_prefix       = coalesce(try(var.settings.backup.prefix, null), "backups/${var.cluster}/")
  more_backup_buckets = distinct(compact([try(var.settings.backup.bucket, ""), try(var.settings.backup.copy_bucket, "")]))
  # A policy names keys by their ARN alone: an id or an alias in the settings is for who lets the role in by the key's own policy.
  more_backup_keys = [
    for key in distinct(compact([try(var.settings.backup.kms_key, ""), try(var.settings.backup.copy_kms_key, "")])) :
    key if startswith(key, "arn:")
  ]
  role_name = local.own_role ? aws_iam_role.node[0].name : var.role.name

  # What the options add to the template's statements. They are of the same policy, as no policy may come and go with what an
  # apply has yet to learn: the ARN of a key, or the name of a bucket, that the same apply makes.
  more_statements = concat(
    [for arn in var.kms_key_arn[*] : {
      Sid       = "BucketKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = arn
      Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.${data.aws_partition.current.dns_suffix}" } }
    }],
    # Keys of backups, of another region where the copies are.
    length(local.more_backup_keys) == 0 ? [] : [{
      Sid       = "BackupKeys"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = local.more_backup_keys
      Condition = { StringLike = { "kms:ViaService" = "s3.*.${data.aws_partition.current.dns_suffix}" } }
    }],
    # Buckets of backups beside the module's own: another one in its place, and the second one. Where it is another account's, that
    # bucket's policy has to let the role in too, or settings.backup.copy_profile names credentials that are.
    length(local.more_backup_buckets) == 0 ? [] : [
      {
        Sid      = "BackupsElsewhere"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        Resource = [for name in local.more_backup_buckets : "arn:${local.partition}:s3:::${name}/${local.backup_prefix}*"]
      },
      {
        Sid      = "SeeBackupsElsewhere"
        Effect   = "Allow"
        Action   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
        Resource = [for name in local.more_backup_buckets : "arn:${local.partition}:s3:::${name}"]
      },
    ],
  )

  node_policy = jsondecode(templatefile("${path.module}/policies/node.json.tftpl", {
    partition = local.partition
    region    = local.region
    account   = local.account
    bucket    = local.bucket_name
    cluster   = var.cluster
    group     = local.name
    backups   = local.backup_prefix
  }))

  node_policies = merge(
    { node = jsonencode(merge(local.node_policy, { Statement = concat(local.node_policy.Statement, local.more_statements) })) },
    # AWS's managed policy for the session manager allows to read every parameter of the account: these are its calls without that.
    # The ssmmessages calls know no resources, and the first is about an instance whose id nobody knows before it is: hence `*`.
    var.session_manager ? {
      session-manager = jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Sid    = "SessionManager"
          Effect = "Allow"
          Action = [
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
          ]
          Resource = "*"
        }]
      })
    } : {},
  )
}

resource "aws_iam_role" "node" {
  count = local.own_role ? 1 : 0

  # Names of IAM are the account's, not the region's.
  name                 = "${local.name}-${local.region}"
  description          = "ZooKeeper ${var.cluster}: what an instance may do"
  permissions_boundary = var.role.permissions_boundary
  tags                 = local.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.${data.aws_partition.current.dns_suffix}" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "node" {
  for_each = local.own_role ? local.node_policies : {}

  name   = each.key
  role   = aws_iam_role.node[0].id
  policy = each.value
}

resource "aws_iam_instance_profile" "node" {
  name = "${local.name}-${local.region}"
  role = local.role_name
  tags = local.tags
}
