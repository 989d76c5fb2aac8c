mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  vault = { address = "https://vault.example.com:8200" }
}

run "no_table_where_keys_are_in_vault" {
  assert {
    condition     = length(aws_dynamodb_table.keys) == 0 && output.table_name == null
    error_message = "There is a table that nobody needs."
  }
}

run "the_table_is_that_of_infra_aws" {
  variables {
    store = "dynamodb"
  }

  # The form of `aws dynamodb create-table`, out of what is planned.
  assert {
    condition = jsondecode(file("../../aws/table.json")) == {
      TableName            = aws_dynamodb_table.keys[0].name
      BillingMode          = aws_dynamodb_table.keys[0].billing_mode
      AttributeDefinitions = jsondecode(file("../../aws/table.json")).AttributeDefinitions # a set here; see below
      KeySchema            = [{ AttributeName = aws_dynamodb_table.keys[0].hash_key, KeyType = "HASH" }]
      GlobalSecondaryIndexes = [
        for name in ["by_position", "by_id"] : one([
          for index in aws_dynamodb_table.keys[0].global_secondary_index : {
            IndexName = index.name
            KeySchema = [
              { AttributeName = index.hash_key, KeyType = "HASH" }, { AttributeName = index.range_key, KeyType = "RANGE" },
            ]
            Projection = { ProjectionType = index.projection_type }
          } if index.name == name
        ])
      ]
      SSESpecification          = { Enabled = aws_dynamodb_table.keys[0].server_side_encryption[0].enabled, SSEType = "KMS" }
      DeletionProtectionEnabled = aws_dynamodb_table.keys[0].deletion_protection_enabled
    }
    error_message = "The table is not that of infra/aws/table.json."
  }

  assert {
    condition = toset([for each in aws_dynamodb_table.keys[0].attribute : "${each.name} ${each.type}"]) == toset([
      for each in jsondecode(file("../../aws/table.json")).AttributeDefinitions : "${each.AttributeName} ${each.AttributeType}"
    ])
    error_message = "Attributes of the table are not those of infra/aws/table.json."
  }

  assert {
    condition     = aws_dynamodb_table.keys[0].point_in_time_recovery[0].enabled
    error_message = "A table that was written over by mistake can't be had back."
  }
}

run "a_key_of_ones_own" {
  variables {
    store             = "dynamodb"
    table_kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = aws_dynamodb_table.keys[0].server_side_encryption[0].kms_key_arn == var.table_kms_key_arn
    error_message = "The table is encrypted with another key."
  }
}
