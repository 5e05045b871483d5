package nventory

import (
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/inventory/inventorytest"
)

// sampleAnswer is what a real server says of web1.example.com.
func sampleAnswer(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/nventory_nodes.xml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// node and nodes write short answers.
func node(children ...string) string { return "<node>" + strings.Join(children, "") + "</node>" }

func nodes(children ...string) string {
	return `<nodes type="array">` + strings.Join(children, "") + "</nodes>"
}

const (
	nodeName = "<name>h</name>"
	noGroups = `<node_groups type="array"/>`
	oneGroup = `<node_groups type="array"><node_group><name>a</name></node_group></node_groups>`
)

func TestSampleOfNVentory(t *testing.T) {
	inv := answering(t, http.StatusOK, sampleAnswer(t))
	for name, a := range map[string]inventorytest.Answer{
		"asked for": lookup(t, inv, "web1.example.com"),
		"listed":    listed(t, inv)["web1.example.com"],
	} {
		if !a.Known || !slices.Equal(a.Groups, []string{"stg", "web", "web_dc1"}) || a.Pin != "" || a.PinFrom != "" {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestAnswersOfNVentory(t *testing.T) {
	tests := []struct {
		name, body string
		known      bool
		groups     string
		pin        string
	}{
		{"nothing", `<nil_classes type="array"/>`, false, "", ""},
		{"nothing, in two tags", "<?xml version='1.0' encoding='utf-8'?>\n<nil_classes type='array'> </nil_classes>\n", false, "", ""},
		{"no nodes", nodes(), false, "", ""},
		{"no groups", nodes(node(nodeName, noGroups)), true, "", ""},
		{"groups before the name", nodes(node(oneGroup, nodeName)), true, "a", ""},
		{"the name in upper case", nodes(node("<name>H</name>", oneGroup)), true, "a", ""},
		{"white space around names", nodes(node("<name>\n h </name>", strings.ReplaceAll(oneGroup, "a</name>", " a\t</name>"))), true, "a", ""},
		{"groups repeated and unsorted", nodes(node(nodeName, "<node_groups><node_group><name>b</name></node_group>"+
			"<node_group><name>a</name></node_group><node_group><name>b</name></node_group></node_groups>")), true, "a b", ""},
		{"the name of something else", nodes(node("<status><name>x</name></status>", nodeName, noGroups)), true, "", ""},
		{"names of another namespace", nodes(node(`<x:name xmlns:x="urn:x">i</x:name>`, nodeName, noGroups)), true, "", ""},
		{"comments, instructions and CDATA", "<!-- - -->" + nodes("<!-- -->", node("<name><![CDATA[h]]></name><?x y?>", noGroups)) + "\n<!-- -->\n",
			true, "", ""},
		{"a pin that is nil", nodes(node(nodeName, `<config_mgmt_tag nil="true"></config_mgmt_tag>`, noGroups)), true, "", ""},
		{"a pin that is nil but not empty", nodes(node(nodeName, `<config_mgmt_tag nil="true">x</config_mgmt_tag>`, noGroups)), true, "", ""},
		{"a pin that is empty", nodes(node(nodeName, "<config_mgmt_tag/>", noGroups)), true, "", ""},
		{"a pin that is blank", nodes(node(nodeName, "<config_mgmt_tag> \n </config_mgmt_tag>", noGroups)), true, "", ""},
		{"a pin", nodes(node("<config_mgmt_tag>tags/release-7</config_mgmt_tag>", nodeName, oneGroup)), true, "a", "tags/release-7"},
		{"a pin in white space", nodes(node(nodeName, "<config_mgmt_tag>\n trunk\r\n</config_mgmt_tag>", noGroups)), true, "", "trunk"},
		{"a pin that is not nil", nodes(node(nodeName, `<config_mgmt_tag nil="false">a b&amp;c</config_mgmt_tag>`, noGroups)), true, "", "a b&c"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inv := answering(t, http.StatusOK, test.body)
			a := lookup(t, inv, "h")
			from := ""
			if test.pin != "" {
				from = "config_mgmt_tag in nVentory " + strings.TrimPrefix(inv.Name(), "nventory ")
			}
			if got := strings.Join(a.Groups, " "); a.Known != test.known || got != test.groups || a.Pin != test.pin || a.PinFrom != from {
				t.Errorf("got %+v, want groups %q, pin %q from %q", a, test.groups, test.pin, from)
			}
		})
	}
}

// laughs is a document that grows to a billion words when its entities are put in.
const laughs = `<!DOCTYPE nodes [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">` +
	`<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><nodes type="array"><node><name>&c;</name></node></nodes>`

func TestAnswersOfNVentoryThatAreNone(t *testing.T) {
	deep := strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100)
	tests := []struct{ name, body, problem string }{
		{"empty", "", "no element <nodes>"},
		{"a web page", "<!DOCTYPE html>\n<html><body><form action=/login></body></html>", "declaration"},
		{"a web page in XML", "<html><body>Log in</body></html>", "the outermost element is <html>"},
		{"JSON", `{"nodes": []}`, "text outside"},
		{"another list", `<node_groups type="array"/>`, "the outermost element is <node_groups>"},
		{"dashes", `<nil-classes type="array"/>`, "the outermost element is <nil-classes>"},
		{"dashes in a node", nodes(node(nodeName, `<node-groups type="array"/>`)), "no <node_groups>"},
		{"a namespace", `<nodes xmlns="urn:x"/>`, "the outermost element"},
		{"an entity bomb", laughs, "declaration"},
		{"an entity", nodes(node("<name>h&x;</name>", noGroups)), "entity"},
		{"a declaration within", nodes("<!ENTITY x 'y'>"), "declaration"},
		{"a declaration after the end", nodes() + "<!DOCTYPE x>", "declaration"},
		{"truncated", nodes(node(nodeName, oneGroup))[:90], "unexpected EOF"},
		{"truncated between nodes", strings.TrimSuffix(nodes(node(nodeName, oneGroup)), "</nodes>"), "unexpected EOF"},
		{"something after the end", nodes() + "x", "text outside"},
		{"a second answer", nodes() + nodes(), "second outermost"},
		{"tags that do not match", "<nodes><node></nodes></node>", "closed by"},
		{"another encoding", `<?xml version="1.0" encoding="iso-8859-1"?>` + nodes(), "only UTF-8"},
		{"not UTF-8", nodes(node("<name>h</name>", "<os>\xff</os>", noGroups)), "UTF-8"},
		{"deep nesting", nodes(node(nodeName, deep, noGroups)), "nested more than 32 deep"},
		{"deep nesting in a name", nodes(node("<name>"+deep+"</name>", noGroups)), "<a> in <name>"},
		{"another host", nodes(node("<name>h2</name>", noGroups)), `about "h2", not about "h"`},
		{"another host that is longer", nodes(node("<name>h.example.com</name>", noGroups)), `about "h.example.com"`},
		{"the host and another", nodes(node(nodeName, noGroups), node("<name>i</name>", noGroups)), `about "i"`},
		{"the host twice", nodes(node(nodeName, noGroups), node("<name>H</name>", oneGroup)), `several nodes that are called "h"`},
		{"a node in nothing", "<nil_classes>" + node(nodeName, noGroups) + "</nil_classes>", "<node> in <nil_classes>"},
		{"text among nodes", nodes("sorry"), "text in <nodes>"},
		{"an error among nodes", nodes("<error>sorry</error>"), "<error> in <nodes>"},
		{"a node without a name", nodes(node(noGroups)), "no <name>"},
		{"a name that is empty", nodes(node("<name> </name>", noGroups)), "empty <name>"},
		{"a name that is nil", nodes(node(`<name nil="true"/>`, noGroups)), "empty <name>"},
		{"two names", nodes(node(nodeName, nodeName, noGroups)), "<name> twice"},
		{"a long name", nodes(node("<name>"+strings.Repeat("h", 254)+"</name>", noGroups)), "254 bytes long"},
		{"groups left out", nodes(node(nodeName)), "no <node_groups>"},
		{"groups twice", nodes(node(nodeName, noGroups, oneGroup)), "<node_groups> twice"},
		{"text as a group", nodes(node(nodeName, "<node_groups>web</node_groups>")), "text in <node_groups>"},
		{"a group that is none", nodes(node(nodeName, "<node_groups><name>a</name></node_groups>")), "<name> in <node_groups>"},
		{"a group without a name", nodes(node(nodeName, "<node_groups><node_group/></node_groups>")), "no <name>"},
		{"a group with two names", nodes(node(nodeName, "<node_groups><node_group><name>a</name><name>b</name></node_group></node_groups>")),
			"<name> twice"},
		{"two pins", nodes(node(nodeName, "<config_mgmt_tag>a</config_mgmt_tag><config_mgmt_tag>b</config_mgmt_tag>", noGroups)),
			"<config_mgmt_tag> twice"},
		{"two lines as a pin", nodes(node(nodeName, "<config_mgmt_tag>trunk\ntags/x</config_mgmt_tag>", noGroups)), `"trunk\ntags/x"`},
		{"a control character in a pin", nodes(node(nodeName, "<config_mgmt_tag>a&#x85;b</config_mgmt_tag>", noGroups)), "control character"},
		{"an element as a pin", nodes(node(nodeName, "<config_mgmt_tag><a/></config_mgmt_tag>", noGroups)), "<a> in <config_mgmt_tag>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkRefused(t, answering(t, http.StatusOK, test.body), test.problem)
		})
	}
}

// checkRefused fails the test unless a lookup of the host h fails because of problem.
func checkRefused(t *testing.T, inv *Inventory, problem string) {
	t.Helper()
	a, err := inv.Lookup(t.Context(), "h")
	if err == nil || !strings.Contains(err.Error(), problem) || a.Known {
		t.Fatalf("got %+v, error %v, want one that says %q", a, err, problem)
	}
	server := strings.TrimPrefix(inv.Name(), "nventory ")
	if question := "GET " + server + "nodes.xml?exact_name=h&"; !strings.Contains(err.Error(), question) {
		t.Errorf("the error does not name server and host: %v", err)
	}
}

func TestOnly200IsAnAnswerOfNVentory(t *testing.T) {
	for _, status := range []int{202, 203, 204, 206, 300, 301, 304, 307, 400, 401, 404, 407, 500, 503} {
		inv := answering(t, status, "")
		if status != http.StatusNoContent && status != http.StatusNotModified {
			inv = answering(t, status, nodes(node(nodeName, noGroups)))
		}
		checkRefused(t, inv, fmt.Sprintf("the status is \"%d", status))
	}
}

// flooding returns the inventory of a server whose answers have a middle part of so many bytes, compressed so that
// they are small on the wire.
func flooding(t *testing.T, before, middle string, size int, after string) *Inventory {
	t.Helper()
	middle = strings.Repeat(middle, 1+1<<14/len(middle))
	return askingPatiently(startWeb(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		packed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		defer packed.Close()
		io.WriteString(packed, before)
		for sent := 0; sent < size; sent += len(middle) {
			if _, err := io.WriteString(packed, middle); err != nil {
				return
			}
		}
		io.WriteString(packed, after)
	})))
}

func TestAnswerOfNVentoryOf50MB(t *testing.T) {
	inv := flooding(t, "<nodes><node><description>", "x", 50<<20, "</description>"+nodeName+noGroups+"</node></nodes>")
	checkRefused(t, inv, "the answer is too large: more than 8192 MiB, or 4 MiB from one node to the next")
}

func TestAnswersOfNVentoryThatAreTooLarge(t *testing.T) {
	for name, form := range map[string][3]string{
		"text":            {"<nodes><node><description>", "x", "</description>" + nodeName + noGroups + "</node></nodes>"},
		"space":           {"<nodes>", " ", "</nodes>"},
		"comments":        {"<!--", "x", "-->" + nodes()},
		"many attributes": {"<nodes ", "a='b' ", "></nodes>"},
		"many groups": {"<nodes><node><name>h</name><node_groups>", "<node_group><name>a</name></node_group>",
			"</node_groups></node></nodes>"},
		"after the end": {nodes(), "\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for size, problem := range map[int]string{1 << 10: "", 1 << 20: "the answer is too large"} {
				inv := flooding(t, form[0], form[1], size, form[2])
				inv.limits.node = 1 << 17
				if problem != "" {
					checkRefused(t, inv, problem)
				} else {
					lookup(t, inv, "h")
				}
			}
		})
	}
}

func TestListOfNVentory(t *testing.T) {
	inv := answering(t, http.StatusOK, nodes(
		nodeXML("Web2", "trunk", []string{"b", "a", "b"}), nodeXML("db1", "", nil), nodeXML("web1", "", []string{"a", "b"})))
	all := listed(t, inv)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, []string{"db1", "web1", "web2"}) {
		t.Fatalf("listed %q", got)
	}
	if a := all["web2"]; !a.Known || !slices.Equal(a.Groups, []string{"a", "b"}) || a.Pin != "trunk" || a.PinFrom == "" {
		t.Errorf("web2: %+v", a)
	}
	if a := all["db1"]; !a.Known || len(a.Groups) > 0 || a.Pin != "" {
		t.Errorf("db1: %+v", a)
	}
}

func TestListOfNVentoryMayBeManyTimesAsLargeAsANode(t *testing.T) {
	var text strings.Builder
	const count = 2000
	for i := range count {
		text.WriteString(nodeXML(fmt.Sprint("h", i), "", nil))
	}
	inv := answering(t, http.StatusOK, nodes(text.String()))
	inv.limits.node = 1 << 17 // a buffer and more
	if int64(text.Len()) < 3*inv.limits.node {
		t.Fatalf("the answer has only %d bytes", text.Len())
	}
	if got := len(listed(t, inv)); got != count {
		t.Errorf("%d hosts are listed", got)
	}
}

func TestListOfNVentoryIsAnErrorOrWhole(t *testing.T) {
	good := nodeXML("a", "", nil) + nodeXML("b", "", nil)
	tests := []struct {
		name, body string
		limits     limits
		problem    string
	}{
		{"a host twice", nodes(good, nodeXML("A", "", []string{"x"})), limits{}, `several nodes that are called "a"`},
		{"a mistake at the end", nodes(good, node(nodeName)), limits{}, "no <node_groups>"},
		{"truncated", "<nodes>" + good, limits{}, "unexpected EOF"},
		{"a large node", nodes(good, node(nodeName, noGroups, "<x>"+strings.Repeat("x", 1<<20)+"</x>")), limits{node: 1 << 17},
			"too large"},
		{"large in all", nodes(good, strings.Repeat(nodeXML("c", "", nil), 1000)), limits{answer: 1 << 17}, "too large"},
		{"more than can be kept", nodes(good), limits{kept: 150}, "its first 2 hosts"},
		{"more groups than can be kept", nodes(nodeXML("a", "", []string{"x", "y"})), limits{kept: 150}, "its first 1 hosts"},
		{"more pins than can be kept", nodes(nodeXML("a", strings.Repeat("x", 50), nil)), limits{kept: 150}, "its first 1 hosts"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inv := answering(t, http.StatusOK, test.body)
			inv.limits = limits{node: cmp.Or(test.limits.node, inv.limits.node),
				answer: cmp.Or(test.limits.answer, inv.limits.answer), kept: cmp.Or(test.limits.kept, inv.limits.kept)}
			err := inv.Hosts(t.Context(), func(host string, _ inventory.Answer) bool {
				t.Errorf("%q is listed", host)
				return true
			})
			question := strings.Replace(inv.Name(), "nventory ", "GET ", 1) + "nodes.xml?include[node_groups]=: "
			if err == nil || !strings.Contains(err.Error(), test.problem) || !strings.Contains(err.Error(), question) {
				t.Errorf("got %v, want %q after %q", err, test.problem, question)
			}
		})
	}
}
