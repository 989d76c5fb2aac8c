"""Who we are by AWS IAM: a signed request sts:GetCallerIdentity, which Vault sends on to AWS and reads the answer of.

The header X-Vault-AWS-IAM-Server-ID is signed with it, so that one Vault can't show to another what we showed to it.
boto3 finds the credentials as it always does; they stay here, and a signature is good for 15 minutes.
https://developer.hashicorp.com/vault/docs/auth/aws#iam-auth-method
https://developer.hashicorp.com/vault/api-docs/auth/aws#login
"""

import base64
import json
from typing import Any

from keyrail.domain.errors import Unavailable

GLOBAL_REGION = "us-east-1"  # what the endpoint without a region in its name is signed for
_BODY = "Action=GetCallerIdentity&Version=2011-06-15"


def iam_login_body(role: str, server_id: str, region: str) -> dict[str, str]:
    """Raises: Unavailable where there are no credentials, or boto3 is not installed."""
    url = "https://sts.amazonaws.com/" if region == GLOBAL_REGION else f"https://sts.{region}.amazonaws.com/"
    return {
        "role": role,
        "iam_http_request_method": "POST",
        "iam_request_url": _base64(url),
        "iam_request_body": _base64(_BODY),
        "iam_request_headers": _base64(json.dumps(_signed_headers(url, server_id, region))),
    }


def _signed_headers(url: str, server_id: str, region: str) -> dict[str, str]:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "Host": url.split("/")[2],
        "X-Vault-AWS-IAM-Server-ID": server_id,
    }
    try:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
    except ModuleNotFoundError:
        raise Unavailable("boto3 is not installed: keyrail[aws] brings it") from None
    request = AWSRequest("POST", url, headers=headers, data=_BODY)
    SigV4Auth(_credentials(), "sts", region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}


def _credentials() -> Any:
    """As they are now: those of a role are replaced under running processes."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        found = boto3.session.Session().get_credentials()
        if found is not None:
            return found.get_frozen_credentials()
    except BotoCoreError as error:
        raise Unavailable(f"the AWS credentials can't be read: {type(error).__name__}") from None
    raise Unavailable("there are no AWS credentials")


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
