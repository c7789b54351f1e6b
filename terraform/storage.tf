# The bucket of record, reports and backups.

locals {
  # The same name in the same account and region is the same bucket: an ensemble whose bucket was kept is found again.
  # Names of buckets are everybody's, and at most 63 characters long.
  bucket_name = coalesce(
    var.bucket.name,
    "zkboot-${var.cluster}-${substr(sha256("${local.partition}/${local.account}/${local.region}"), 0, 12)}",
  )
  bucket_arn = "arn:${local.partition}:s3:::${local.bucket_name}"
  own_bucket = var.bucket.create ? 1 : 0
}

resource "aws_s3_bucket" "this" {
  # checkov:skip=CKV2_AWS_62:nobody waits for news of an object here
  # checkov:skip=CKV_AWS_18:access logs need another bucket, whose owner adds them; CloudTrail's data events tell the same
  # checkov:skip=CKV_AWS_144:the record must have one place only; backups are copied to a second bucket as backups
  count = local.own_bucket

  bucket        = local.bucket_name
  force_destroy = var.bucket.force_destroy
  tags          = local.tags
}

resource "aws_s3_bucket_versioning" "this" {
  count = local.own_bucket

  bucket = aws_s3_bucket.this[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  count = local.own_bucket

  bucket = aws_s3_bucket.this[0].id
  rule {
    bucket_key_enabled = var.kms_key_arn != null
    apply_server_side_encryption_by_default {
      sse_algorithm     = var.kms_key_arn == null ? "AES256" : "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  count = local.own_bucket

  bucket                  = aws_s3_bucket.this[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  count = local.own_bucket

  bucket = aws_s3_bucket.this[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "this" {
  count = local.own_bucket

  bucket = aws_s3_bucket.this[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # S3 takes only one change of a bucket's access at a time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

# No rule may ever reach control/: there is the record, without which an ensemble is lost. So every rule names the backups' prefix,
# and none applies to the whole bucket.
resource "aws_s3_bucket_lifecycle_configuration" "this" {
  # checkov:skip=CKV_AWS_300:it asks for a rule over the whole bucket, which would reach control/; only backups are uploaded in parts
  count = local.own_bucket

  bucket = aws_s3_bucket.this[0].id

  rule {
    id     = "backups-unfinished-uploads"
    status = "Enabled"
    filter {
      prefix = "backups/"
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  rule {
    id     = "backups-undo"
    status = "Enabled"
    filter {
      prefix = "backups/"
    }
    noncurrent_version_expiration {
      noncurrent_days = var.bucket.undo_days
    }
  }

  # Rules about older versions need versions.
  depends_on = [aws_s3_bucket_versioning.this]
}
