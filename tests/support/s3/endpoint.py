"""A real-time endpoint of SageMaker in moto.

`endpoint.py URL` makes the endpoint `fraud` with the variants fraud-6 and fraud-7, of which the first has all traffic.
`endpoint.py URL weights` prints the weights by variant as JSON, `endpoint.py URL NUMBER` gives the second one this
weight of 100.
"""

from __future__ import annotations

import json
import sys

import boto3

keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
url, *asked = sys.argv[1:]
api = boto3.client("sagemaker", endpoint_url=url, **keys)
if not asked:
    role = "arn:aws:iam::123456789012:role/serving"
    container = {"Image": "registry.example.com/model:1"}
    for name in ("fraud-6", "fraud-7"):
        api.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    variants = [
        {**variant, "VariantName": name, "ModelName": name, "InitialVariantWeight": weight}
        for name, weight in (("fraud-6", 1.0), ("fraud-7", 0.0))
    ]
    api.create_endpoint_config(EndpointConfigName="fraud", ProductionVariants=variants)
    api.create_endpoint(EndpointName="fraud", EndpointConfigName="fraud")
elif asked[0] == "weights":
    found = api.describe_endpoint(EndpointName="fraud")["ProductionVariants"]
    print(json.dumps({variant["VariantName"]: variant.get("DesiredWeight") for variant in found}))
else:
    new = float(asked[0])
    weights = [
        {"VariantName": "fraud-6", "DesiredWeight": 100 - new},
        {"VariantName": "fraud-7", "DesiredWeight": new},
    ]
    api.update_endpoint_weights_and_capacities(EndpointName="fraud", DesiredWeightsAndCapacities=weights)
