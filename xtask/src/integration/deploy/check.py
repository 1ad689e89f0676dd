"""check.py KUBERNETES-FOLDER SECRETS-FOLDER OUT-FOLDER: the manifests fit their schemas and each other.

Writes each config of a ConfigMap into OUT-FOLDER, its secrets' folder replaced.
"""

import pathlib
import sys

import kubernetes_validate
import yaml

folder, secrets, out = map(pathlib.Path, sys.argv[1:])
# Of the Prometheus operator, not of Kubernetes.
FOREIGN = {"ServiceMonitor"}


def documents(name):
    return [document for document in yaml.safe_load_all((folder / name).read_text()) if document]


def of(kind, found):
    return [document for document in found if document["kind"] == kind]


def matches(labels, of_whom):
    return labels.items() <= of_whom.items()


def look_at_pods(workload, found):
    """What the schema can't know: that names lead somewhere, and that nothing may do more than it has to."""
    template = workload["spec"]["template"]
    labels, pod = template["metadata"]["labels"], template["spec"]
    assert matches(workload["spec"]["selector"]["matchLabels"], labels), "the workload does not select its pods"
    for service in of("Service", found):
        assert matches(service["spec"]["selector"], labels), "the service selects no pods"
    for budget in of("PodDisruptionBudget", found):
        assert matches(budget["spec"]["selector"]["matchLabels"], labels), "the budget is of no pods"
    assert len(of("PodDisruptionBudget", found)) == 1
    security = pod["securityContext"]
    assert security["runAsNonRoot"] and security["runAsUser"] == security["fsGroup"] == 65532, security
    if workload["spec"]["replicas"] > 1:
        spread = pod["topologySpreadConstraints"]
        assert all(matches(one["labelSelector"]["matchLabels"], labels) for one in spread), "other pods are spread"
    assert not pod["automountServiceAccountToken"]
    claims = workload["spec"].get("volumeClaimTemplates", [])
    volumes = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}
    configs = {config["metadata"]["name"]: config["data"] for config in of("ConfigMap", found)}
    for container in pod["containers"]:
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], security
        assert security["capabilities"] == {"drop": ["ALL"]}, security
        ports = {port["name"] for port in container["ports"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert set(mounts.values()) == volumes, (mounts, volumes)
        # The daemon is asked, not its config: a ConfigMap that was changed for the worse is none of a daemon that runs.
        for probe, path in [("startup", "/healthz"), ("liveness", "/healthz"), ("readiness", "/readyz")]:
            how = container[f"{probe}Probe"]["httpGet"]
            assert how["port"] in ports and how["path"] == path, how
        # While others come to know that it ends, one of several goes on.
        pause = container["lifecycle"]["preStop"]["sleep"]["seconds"] if workload["spec"]["replicas"] > 1 else 0
        assert pod["terminationGracePeriodSeconds"] > 30 + pause, "less than `preStop` and `hooks serve --grace`"
        for service in of("Service", found):
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
        file = pathlib.PurePath(container["args"][-1])
        volume = next(volume for volume in pod["volumes"] if volume["name"] == mounts[str(file.parent)])
        assert file.name in configs[volume["configMap"]["name"]], file


for name in sorted(path.name for path in folder.glob("*.yaml")):
    found = documents(name)
    assert found, f"{name} is empty"
    for document in found:
        if document["kind"] not in FOREIGN:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        for key, text in document.get("data", {}).items():
            (out / f"{name}-{key}").write_text(text.replace("/run/secrets/hooks", str(secrets)))
    for workload in of("StatefulSet", found) + of("Deployment", found):
        look_at_pods(workload, found)

for monitor in documents("servicemonitor.yaml"):
    for name in ["durable.yaml", "shared.yaml"]:
        service = of("Service", documents(name))[0]
        assert matches(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
        ports = {port["name"] for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
