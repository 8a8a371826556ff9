"""The seccomp policies that engines publish, as this machine has them: they aren't ours to copy."""

import json
import pathlib

from harness import Failure

# golang-github-containers-common, which Debian's podman comes with.
PODMAN = pathlib.Path("/usr/share/containers/seccomp.json")


def docker_policy(engine, container):
    """Docker's default, in JSON, as dockerd resolved it for a running container that has it.

    The published file is compiled into dockerd. What it makes of it, for the capabilities of the
    container and the kernel of the machine, stands in the OCI configuration that it gives to runc,
    in the directory of its containerd, while the container runs.
    """
    found = engine.docker("inspect", "--format", "{{.Id}}", container).expect_status(0).out.strip()
    bundles = engine.directory / "exec" / "containerd" / "daemon"
    for configuration in bundles.glob(f"*/moby/{found}/config.json"):
        policy = json.loads(configuration.read_text())["linux"].get("seccomp")
        if policy is None:
            raise Failure(f"{container} runs without a seccomp policy")
        return json.dumps(policy, indent=1)
    raise Failure(f"no config.json of {container} beneath {bundles}")
