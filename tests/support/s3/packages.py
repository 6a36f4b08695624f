"""A model package group of SageMaker in moto.

`packages.py URL GROUP make N` makes the group with N packages, of which the first is approved.
`packages.py URL GROUP show` prints approval, description and metadata by number as JSON.
`packages.py URL GROUP approve N` approves a package, as a person does in the console.
"""

from __future__ import annotations

import json
import sys

import boto3

keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
url, group, asked, *number = sys.argv[1:]
api = boto3.client("sagemaker", endpoint_url=url, **keys)


def packages() -> dict[str, dict[str, object]]:
    """The packages of the group in whole, by number."""
    pages = api.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    listed = [package for page in pages for package in page["ModelPackageSummaryList"]]
    described = [api.describe_model_package(ModelPackageName=package["ModelPackageArn"]) for package in listed]
    return {str(package["ModelPackageVersion"]): package for package in described}


if asked == "make":
    api.create_model_package_group(ModelPackageGroupName=group)
    for version in range(1, int(number[0]) + 1):
        files = f"s3://models/{group}/{version}/model.tar.gz"
        container = {"Image": "registry.example.com/model:1", "ModelDataUrl": files}
        formats = {"SupportedContentTypes": ["text/csv"], "SupportedResponseMIMETypes": ["text/csv"]}
        api.create_model_package(
            ModelPackageGroupName=group,
            InferenceSpecification={"Containers": [container], **formats},
            ModelApprovalStatus="Approved" if version == 1 else "PendingManualApproval",
            MetadataProperties={"CommitId": "git:9876fedc"},
            CustomerMetadataProperties={
                "driftgate.snapshot": "train.csv",
                "metric.auc": f"0.9{version}",
                "team": "risk",
            },
        )
elif asked == "show":
    keys_shown = ("ModelApprovalStatus", "ApprovalDescription", "CustomerMetadataProperties")
    shown = {number: {key: package.get(key) for key in keys_shown} for number, package in packages().items()}
    print(json.dumps(shown))
else:
    package = packages()[number[0]]
    # The simulator forgets what an update leaves out.
    api.update_model_package(
        ModelPackageArn=package["ModelPackageArn"],
        ModelApprovalStatus="Approved",
        ApprovalDescription="looks good to me",
        CustomerMetadataProperties=package["CustomerMetadataProperties"],
    )
