"""Writes a rendered chart's configuration as its pod finds it: chart_config.py RENDERED FOLDER.

The policies of ConfigMaps that the chart does not make, and secrets, are stood in for: the check reads their names, not their content.
"""

import pathlib
import sys

import yaml

POLICY = """
apiVersion: driftgate/v1
model: fraud
baseline: {snapshot: "s3://training/fraud/{version}.parquet"}
features: {numeric: [amount]}
checks: {drift: {window: {size: 1h, slide: 5m}, rules: [{psi: {of: features, lt: 0.2}}]}}
"""


def main(rendered: str, folder: str) -> None:
    out = pathlib.Path(folder)
    out.mkdir()
    objects = [o for o in yaml.safe_load_all(pathlib.Path(rendered).read_text()) if o]
    own = {o["metadata"]["name"]: o["data"] for o in objects if o["kind"] == "ConfigMap"}
    text = next(data["driftgate.yaml"] for data in own.values() if "driftgate.yaml" in data)
    # A key of the environment would be read from this machine's.
    config = yaml.safe_load(text.replace("${HOSTNAME}", "gate-driftgate-0").replace("${KAFKA_USER}", "driftgate"))
    (stateful,) = [o for o in objects if o["kind"] == "StatefulSet"]
    pod = stateful["spec"]["template"]["spec"]
    mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for pattern in config["policies"]:
        volume = volumes[mounts[str(pathlib.PurePosixPath(pattern).parent)]]
        place = out / volume["name"]
        place.mkdir()
        for file, policy in own.get(volume["configMap"]["name"], {"other.yaml": POLICY}).items():
            (place / file).write_text(policy)
    config["policies"] = [f"{volume}/*.yaml" for volume in ("policies", "existing-policies") if (out / volume).is_dir()]
    for named in named_files(config):
        home = str(pathlib.PurePosixPath(named).parent)
        assert home in mounts, f"{named} is in no volume of the pod: {sorted(mounts)}"
    (out / "driftgate.yaml").write_text(yaml.safe_dump(config))


def named_files(config: dict) -> list[str]:
    """Files of secrets that a configuration names."""
    named = [config["http"].get("tokens_file"), config.get("cluster", {}).get("audit_key")]
    return [path for path in named + list(config["kafka"].get("property_files", {}).values()) if path]


main(*sys.argv[1:])
