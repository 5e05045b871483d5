package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"github.com/etch/etchtag/tagging/inventory/parse"
)

// show writes a roster in a short form: names with their lists, sorted.
func show(r *roster) string {
	all := map[string][]string{}
	for _, row := range r.rows {
		all[row.name] = append(all[row.name], r.lists.All[row.list]...)
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&text, "%s=%s;", name, strings.Join(all[name], ","))
	}
	return text.String()
}

func nodesForm() form { return form{stem: "nodes", element: "node", member: "group"} }

func TestYAMLRosters(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"only a comment", "# nothing yet\n", ""},
		{"null", "---\n", ""},
		{"in blocks", "---\na:\n- x\n- y\nb:\n  - z\n", "a=x,y;b=z;"},
		{"in brackets", "{a: [x, y], b: z}", "a=x,y;b=z;"},
		{"single value, null and empty", "a: x\nb:\nc: ~\nd: []\ne: ''\n", "a=x;b=;c=;d=;e=;"},
		{"names that are not strings", "10: [1.50, no]\non: [0x1F, 2026-11-22, .inf]\n", "10=1.50,no;on=0x1F,2026-11-22,.inf;"},
		{"items that are nothing", "a: [x, ~, '', y]\nb:\n-\n- z\n", "a=x,y;b=z;"},
		{"quoted null is a name", "a: ['null', \"~\"]", "a=null,~;"},
		{"tags of types", "!!str 10: !!seq [!!int x, !thing y]", "10=x,y;"},
		{"several lines", "a:\n  [x,\n   y]\nb: >-\n  two\n  words\n", "a=x,y;b=two words;"},
		{"aliases", "a: &web [x, &y y]\nb: *web\nc: [*y, z]\nd: *y\n", "a=x,y;b=x,y;c=y,z;d=y;"},
		{"an alias as a key", "a: &b [x, &c d]\n*c : [z]\n", "a=x,d;d=z;"},
		{"line ends of Windows", "a:\r\n- x\r\nb: [y]\r\n", "a=x;b=y;"},
		{"a byte-order mark", "\uFEFFa: [x]\n", "a=x;"},
		{"other letters", "bücher: [größe, 日本]\n", "bücher=größe,日本;"},
		{"lists that differ in where names end", "a: [xy, z]\nb: [x, yz]\nc: [xyz]\n", "a=xy,z;b=x,yz;c=xyz;"},
		{"end of document", "a: [x]\n...\n", "a=x;"},
		{"lists are longer than keys may be", "a: [" + strings.Repeat("x, ", 1000) + "x]", "a=" + strings.Repeat("x,", 1000) + "x;"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := parseYAMLRoster("nodes.yml", test.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestMistakesInYAMLRosters(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		problem    string
	}{
		{"no mapping", "- a\n- b\n", 1, "a mapping is expected, not a list"},
		{"text", "\nhello\n", 2, "a mapping is expected, not a single value"},
		{"a host twice", "a: [x]\nb: [y]\na: [z]\n", 3, `"a" stands here a second time; the first is in line 1`},
		{"a host twice, once in quotes", "a: [x]\n'a': [z]\n", 2, "second time"},
		{"a mapping instead of a list", "a: [x]\nb: {c: d}\n", 2, "a list of names is expected, not a mapping"},
		{"a list in a list", "a:\n- x\n- [y]\n", 3, "a name is expected, not a list"},
		{"a mapping in a list", "a:\n- x\n- y: z\n", 3, "a name is expected, not a mapping"},
		{"an alias to what surrounds it", "a: &a\n- *a\n", 2, "a name is expected, not a list"},
		{"a host without a name", "a: [x]\n~: [y]\n", 2, "a name is expected, not nothing"},
		{"a host with an empty name", "a: [x]\n'': [y]\n", 2, "a name is expected"},
		{"a list as a key", "a: [x]\n[b]: [y]\n", 2, "a name is expected, not a list"},
		{"a merge key", "a: &a [x]\n<<: {b: [y]}\n", 2, "merge keys"},
		{"a second document", "a: [x]\n---\nb: [y]\n", 2, "a second YAML document"},
		{"a mistake in a second document", "a: [x]\n---\nb: [y\n", 3, ""},
		{"an alias to nothing", "a: [x]\nb: *c\n", 2, "unknown anchor 'c'"},
		{"a bracket that is not closed", "a: [x]\nb: [y\n", 2, ""},
		{"the same in the first line", "a: [x", 1, ""},
		{"a tab", "a:\n- x\nb:\n\t- y\n", 4, ""},
		{"a control character", "a: [x]\nb: [\x01]\n", 2, "control characters"},
		{"not UTF-8", "a: [x]\nb: [\xff]\n", 2, "UTF-8"},
		{"an indent that fits nowhere", "# hosts\n\n---\na:\n    - x\n  - y\nb: [z]\n", 6, "expected key"},
		{"words after a list", "# hosts\na: [x]\nb: [x] y\nc: [z]\n", 3, "expected key"},
		{"two commas", "# hosts\na: [x]\nb: [x,,y]\nc: [z]\n", 3, "expected node content"},
		{"a word alone", "# hosts\na: [x]\nb\nc: [z]\n", 3, "could not find expected ':'"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseYAMLRoster("nodes.yml", test.text)
			inventorytest.CheckFault(t, err, "nodes.yml", test.line, test.problem)
		})
	}
}

func TestXMLRosters(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "<nodes/>", ""},
		{"as etch's sample", "<!DOCTYPE nodes SYSTEM \"nodes.dtd\">\n<nodes>\n</nodes>\n", ""},
		{"hosts", `<nodes><node name="a"><group>x</group><group>y</group></node><node name="b"/></nodes>`, "a=x,y;b=;"},
		{"a host twice", `<nodes><node name="a"><group>x</group></node><node name="a"><group>y</group></node></nodes>`, "a=x,y;"},
		{"other elements", `<nodes><x><node name="b"/></x><node name="a" y="z"><hardware>h</hardware><group>x</group><z><group>y</group></z></node>text</nodes>`, "a=x;"},
		{"other elements of the same name", `<nodes xmlns:o="o"><o:node name="b"/><node name="a" o:name="c"><o:group>y</o:group></node></nodes>`, "a=;"},
		{"entities of XML", `<nodes><node name="a&amp;b"><group>&lt;&#65;</group></node></nodes>`, "a&b=<A;"},
		{"pieces of text", `<nodes><node name="a"><group>x<!-- c -->y<![CDATA[<]]><b>no</b></group></node></nodes>`, "a=xy<;"},
		{"white space is kept, nothing is left out", `<nodes><node name="a"><group> x </group><group></group><group/></node></nodes>`, "a= x ;"},
		{"a byte-order mark", "\uFEFF<?xml version=\"1.0\" encoding=\"utf-8\"?><nodes><node name=\"ä\"/></nodes>", "ä=;"},
		{"Latin-1", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><nodes><node name=\"\xe4\"><group>\xdf</group></node></nodes>", "ä=ß;"},
		{"comments around", "<!-- a --><nodes/><!-- b -->\n", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, err := parseXMLRoster("nodes.xml", test.text, nodesForm())
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestMistakesInXMLRosters(t *testing.T) {
	const bomb = "<!DOCTYPE nodes [<!ENTITY a \"aaaa\">\n<!ENTITY b \"&a;&a;\">]>\n" +
		"<nodes><node name=\"x\"><group>&b;</group></node></nodes>"
	tests := []struct {
		name, text string
		line       int
		problem    string
	}{
		{"empty", "", 1, "there is no element <nodes>"},
		{"another root", "\n<hosts/>", 2, "the outermost element is <hosts>, not <nodes>"},
		{"two roots", "<nodes/>\n<nodes/>", 2, "second outermost element"},
		{"text before", "x<nodes/>", 1, "text outside"},
		{"text after", "<nodes/>\nx", 2, "text outside"},
		{"not closed", "<nodes>\n<node name=\"a\">", 2, "unexpected EOF"},
		{"closed twice", "<nodes/>\n</nodes>", 2, "unexpected end element"},
		{"no name", "<nodes>\n<node/>\n</nodes>", 2, `needs one attribute "name"`},
		{"an empty name", "<nodes>\n<node name=\"\"/>\n</nodes>", 2, `needs one attribute "name"`},
		{"two names", "<nodes>\n<node name=\"a\" name=\"b\"/>\n</nodes>", 2, `needs one attribute "name"`},
		{"an entity of its own", bomb, 3, "entity"},
		{"an unknown encoding", "<?xml version=\"1.0\" encoding=\"EBCDIC\"?>\n<nodes/>", 1, `encoding "EBCDIC" is not supported`},
		{"not UTF-8", "<nodes>\n<node name=\"\xff\"/></nodes>", 2, "UTF-8"},
		{"a mistake in an element that is ignored", "<nodes>\n<x><y></x></nodes>", 2, "closed by"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseXMLRoster("nodes.xml", test.text, nodesForm())
			inventorytest.CheckFault(t, err, "nodes.xml", test.line, test.problem)
		})
	}
}

func TestHostNamesThatAreTooLong(t *testing.T) {
	longest := strings.Repeat("a", parse.MaxHostName)
	checkFleet(t, openTree(inventorytest.TreeOf(t, "nodes.yml", longest+": [x]")),
		inventorytest.Fleet{Hosts: []inventorytest.Host{{Name: longest, Groups: []string{"x"}}}})
	dir := inventorytest.TreeOf(t, "nodes.yml", "b: [x]\n"+longest+"a: [x]")
	_, err := openTree(dir).Lookup(t.Context(), "b")
	inventorytest.CheckFault(t, err, dir+"/nodes.yml", 2, "254 bytes long; 253 is the most")
}

func TestAliasesDoNotMultiply(t *testing.T) {
	const count = 3000 // that many hosts with that many groups each would be 144 MB
	var text strings.Builder
	text.WriteString("h: &l [")
	for i := range count {
		fmt.Fprintf(&text, "g%d, ", i)
	}
	text.WriteString("g]\n")
	for i := range count {
		fmt.Fprintf(&text, "h%d: *l\n", i)
	}
	r, err := parseYAMLRoster("nodes.yml", text.String())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.rows) != count+1 || len(r.lists.All) != 1 {
		t.Errorf("%d hosts, %d lists", len(r.rows), len(r.lists.All))
	}
}
