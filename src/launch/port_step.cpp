#include "launch/steps.h"

namespace stepdown::steps {

void examine_ports(const Launch& launch, Findings& findings) {
  for (const PortUse& port : launch.plan.ports) {
    const std::string name =
        "port " + std::to_string(port.number) + (port.protocol == Protocol::udp ? "/udp" : "/tcp");
    StepFinding finding{.name = name, .detail = "bind " + name, .syscall = "bind(2)"};
    finding.reason = port.reason;
    // Nothing is done for a port by itself: the steps that follow keep what it needs.
    finding.state = StepState::already;
    if (port.way == PortWay::blocked) {
      finding.state = StepState::blocked;
      if (port.capability_missing) finding.needs = {"NET_BIND_SERVICE"};
    }
    findings.push_back(std::move(finding));
  }
}

}  // namespace stepdown::steps
