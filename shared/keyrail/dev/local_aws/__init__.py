"""`make localstack`: the zips of make dist, deployed by Terraform to what stands for AWS on this machine.

MiniStack runs the service (it has API Gateway v2, the scheduler and DynamoDB), LocalStack the rotation that Secrets
Manager drives (MiniStack's answers without rotating). Neither is AWS: see docs/deploy/local-aws.md.
"""
