package host

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// The lab's network. It has no way out, so the addresses matter only inside; they are the same in every lab.
const (
	// Hostname is the lab's host and node name.
	Hostname = "lab"
	// NodeAddress is where everything listens that pods reach.
	NodeAddress = "10.87.0.1"
	// SecondAddress is where a second cluster's API server and node listen.
	SecondAddress = "10.87.0.2"
	// PodCIDR has the pods' addresses.
	PodCIDR = "10.88.0.0/24"
	// ServiceCIDR has the Services' virtual addresses; FirstService is the one of the Kubernetes API.
	ServiceCIDR  = "10.89.0.0/24"
	FirstService = "10.89.0.1"
)

// network brings up loopback and a bridge that stands in for a network card: it has a real address, which Kubernetes
// insists on, and every kernel has bridges. Addresses that are not the lab's are unreachable at once instead of timing out.
func network() error {
	for _, command := range []string{
		"link set lo up",
		"link add lab0 type bridge",
		"address add " + NodeAddress + "/24 dev lab0",
		"address add " + SecondAddress + "/24 dev lab0",
		"link set lab0 up",
		"route add " + ServiceCIDR + " dev lab0 src " + NodeAddress,
		"route add unreachable default",
	} {
		if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", command, err, out)
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("let pods reach each other: %w", err)
	}
	return nil
}
