"""The cloud driver for AWS. The only package that imports boto3."""
