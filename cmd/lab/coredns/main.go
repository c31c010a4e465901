// Command coredns is CoreDNS with the five plugins that the lab's Corefile names; a module of its own, because its
// dependencies are newer than those of Kubernetes and of the project.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	dnsserver.Directives = []string{"bind", "health", "errors", "template", "kubernetes"}
	coremain.Run()
}
