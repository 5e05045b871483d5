package nventory

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"pgregory.net/rapid"
)

// fakeNVentory answers as an nVentory server does whose nodes are the hosts of a fleet. It compares names
// as its database does, without regard to case.
type fakeNVentory struct{ fleet inventorytest.Fleet }

// ServeHTTP implements http.Handler.
func (f fakeNVentory) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	query := request.URL.Query()
	if request.Method != http.MethodGet || request.URL.Path != "/nodes.xml" || !query.Has("include[node_groups]") {
		http.NotFound(w, request)
		return
	}
	hosts := f.fleet.Hosts
	if query.Has("exact_name") {
		hosts = nil
		for _, h := range f.fleet.Hosts {
			if strings.EqualFold(h.Name, query.Get("exact_name")) {
				hosts = append(hosts, h)
			}
		}
	}
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	io.WriteString(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")
	if len(hosts) == 0 {
		io.WriteString(w, "<nil_classes type=\"array\"/>\n")
		return
	}
	all := f.fleet.Answers() // with inherited groups
	io.WriteString(w, "<nodes type=\"array\">\n")
	for _, h := range hosts {
		io.WriteString(w, nodeXML(h.Name, h.Pin, all[strings.ToLower(h.Name)]))
	}
	io.WriteString(w, "</nodes>\n")
}

// nodeXML writes a node in the form of a real answer, with some of the elements that mean nothing to us.
func nodeXML(name, pin string, groups []string) string {
	var text strings.Builder
	text.WriteString("  <node>\n    <asset_tag nil=\"true\"></asset_tag>\n")
	if pin == "" {
		text.WriteString("    <config_mgmt_tag nil=\"true\"></config_mgmt_tag>\n")
	} else {
		fmt.Fprintf(&text, "    <config_mgmt_tag>%s</config_mgmt_tag>\n", inventorytest.EscapeXML(pin))
	}
	text.WriteString("    <created_at type=\"datetime\">2025-11-04T18:21:09Z</created_at>\n" +
		"    <id type=\"integer\">1387</id>\n")
	fmt.Fprintf(&text, "    <name>%s</name>\n", inventorytest.EscapeXML(name))
	text.WriteString("    <processor_model>Xeon E5-2407 &amp; friends</processor_model>\n" +
		"    <timezone>UTC</timezone>\n")
	if len(groups) == 0 {
		text.WriteString("    <node_groups type=\"array\"/>\n  </node>\n")
		return text.String()
	}
	text.WriteString("    <node_groups type=\"array\">\n")
	for _, group := range groups {
		fmt.Fprintf(&text, "      <node_group>\n        <description nil=\"true\"></description>\n"+
			"        <id type=\"integer\">88</id>\n        <name>%s</name>\n"+
			"        <owner>webops@example.com</owner>\n      </node_group>\n", inventorytest.EscapeXML(group))
	}
	text.WriteString("    </node_groups>\n  </node>\n")
	return text.String()
}

// startWeb starts a web server that the test ends, and returns its URL.
func startWeb(t testing.TB, handler http.Handler) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// openFakeNVentory returns the inventory of a fake server.
func openFakeNVentory(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
	return inventorytest.Of(askingPatiently(startWeb(t, fakeNVentory{f})))
}

func TestConformance(t *testing.T) {
	inventorytest.Kind{Name: "nventory", Make: openFakeNVentory, Pins: true, PinFrom: "/", Unique: true}.Conform(t)
}

func lookup(t rapid.TB, inv *Inventory, host string) inventorytest.Answer {
	t.Helper()
	return inventorytest.MustLookup(t, inventorytest.Of(inv), host)
}

func listed(t rapid.TB, inv *Inventory) map[string]inventorytest.Answer {
	t.Helper()
	return inventorytest.ListAll(t, inventorytest.Of(inv))
}

// patience is a deadline that no test comes near.
const patience = time.Minute

// askingPatiently returns the inventory of a server that may be slow, because the machine is.
func askingPatiently(server string) *Inventory {
	return New(Options{Server: server, Timeout: patience})
}

// answering returns the inventory of a server that gives one answer to all questions.
func answering(t testing.TB, status int, body string) *Inventory {
	t.Helper()
	return askingPatiently(startWeb(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	})))
}
