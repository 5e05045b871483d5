package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"github.com/etch/etchtag/tagging/inventory/parse/parsetest"
)

// checkParsed fails the test unless a parser has either found a mistake, with its place, or not.
func checkParsed(t *testing.T, text string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	fault, ok := errors.AsType[*parse.Fault](err)
	if !ok || fault.File != "f" || fault.Line < 1 || fault.Line > 1+parse.CountBreaks(parse.FromUTF16(text)) || fault.Problem == "" {
		t.Errorf("not a fault with a line of the file: %#v", err)
	}
}

// checkCompiled fails the test unless a table of the fleet that the rosters make agrees with the fleet.
func checkCompiled(t *testing.T, nodes, groups *roster) {
	t.Helper()
	f, err := newFleet(nodes, groups)
	if err != nil {
		return
	}
	b := newTableBuilder()
	if err := b.addFleet(f); err != nil {
		t.Fatal(err)
	}
	var data bytes.Buffer
	if err := b.writeTo(&data, tableHosts, identity{}); err != nil {
		t.Fatal(err)
	}
	table, err := newTable(bytes.NewReader(data.Bytes()), int64(data.Len()), identity{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.nodes.rows {
		slow, _ := f.lookup(r.name)
		quick, known, err := table.lookup(r.name)
		if err != nil || !known || strings.Join(quick.groups, "\n") != strings.Join(slow, "\n") {
			t.Fatalf("host %q: table %+v %v %v, files %q", r.name, quick, known, err, slow)
		}
	}
}

func FuzzNodesYAML(f *testing.F) {
	for _, seed := range parsetest.YAML() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := parseYAMLRoster("f", text)
		checkParsed(t, text, err)
		if err == nil {
			checkCompiled(t, nodes, newRoster(""))
		}
	})
}

func FuzzNodeGroupsYAML(f *testing.F) {
	for _, seed := range append(parsetest.YAML(), "b: [h]\nc: [b]\nh: [c]\n") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		groups, err := parseYAMLRoster("f", text)
		checkParsed(t, text, err)
		if err == nil {
			nodes := newRoster("")
			nodes.add("h", nodes.lists.Add([]string{"h", "x", "a"}), 1)
			checkCompiled(t, nodes, groups)
		}
	})
}

func FuzzNodesXML(f *testing.F) {
	for _, seed := range []string{
		"<nodes/>", "<!DOCTYPE nodes SYSTEM \"nodes.dtd\">\n<nodes><node name=\"a\"><group>x</group></node></nodes>\n",
		"<nodes><node name='a'><group>&b;</group></node></nodes>", "<nodes><node></nodes>", "\uFEFF<nodes/>",
		"<?xml version=\"1.0\" encoding=\"latin1\"?><nodes><node name=\"\xe4\"/></nodes>", "<nodes><![CDATA[x]]></nodes>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		nodes, err := parseXMLRoster("f", text, nodesForm())
		checkParsed(t, text, err)
		if err == nil {
			checkCompiled(t, nodes, newRoster(""))
		}
	})
}

func FuzzNodeGroupsXML(f *testing.F) {
	for _, seed := range []string{
		"<nodegroups/>", "<nodegroups><nodegroup name=\"a\"><child>x</child><child>a</child></nodegroup></nodegroups>",
		"<nodegroups><nodegroup name=\"h\"><child>y</child></nodegroup><nodegroup name=\"y\"><child>h</child></nodegroup></nodegroups>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		groups, err := parseXMLRoster("f", text, form{stem: "nodegroups", element: "nodegroup", member: "child"})
		checkParsed(t, text, err)
		if err == nil {
			nodes := newRoster("")
			nodes.add("h", nodes.lists.Add([]string{"h", "x"}), 1)
			checkCompiled(t, nodes, groups)
		}
	})
}

func FuzzFile(f *testing.F) {
	for _, seed := range parsetest.YAML() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		content, err := parseFile("f", text)
		checkParsed(t, text, err)
		if err != nil {
			return
		}
		checkCompiledFile(t, content)
	})
}

// checkCompiledFile fails the test unless the table of a file says of every host what the file says.
func checkCompiledFile(t *testing.T, content *fileContent) {
	t.Helper()
	b := newTableBuilder()
	var data bytes.Buffer
	if err := errors.Join(b.addFile(content), b.writeTo(&data, tablePins, identity{})); err != nil {
		t.Fatal(err)
	}
	table, err := newTable(bytes.NewReader(data.Bytes()), int64(data.Len()), identity{})
	if err != nil {
		t.Fatal(err)
	}
	for host, h := range content.hosts {
		want, known := content.entry(host)
		if !known || want.pin != h.pin || (want.pin == "") != (want.line == 0) {
			t.Errorf("host %q: %+v", host, want)
		}
		if got, known, err := table.lookup(host); err != nil || !known || !reflect.DeepEqual(got, want) {
			t.Errorf("host %q: the table says %+v (%v, %v), the file %+v", host, got, known, err, want)
		}
	}
}

// reseal makes the checksums of a table right, so that what lies behind them is read.
func reseal(data []byte) {
	for i := 0; (i+1)*tableBlock <= len(data); i++ {
		sealBlock((*[tableBlock]byte)(blocksOf(data, i)), uint64(i))
	}
}

// FuzzTable reads tables with any content whose checksums are right: it must neither panic nor go on for ever.
func FuzzTable(f *testing.F) {
	for _, text := range []string{"", "h: [a]\n", "a: [x, y]\nb: [x]\nh:\n", "["} {
		var table bytes.Buffer
		nodes, err := parseYAMLRoster("nodes.yml", text)
		if fault, ok := errors.AsType[*parse.Fault](err); ok {
			err = writeFault(&table, fault, identity{})
		} else if err == nil {
			b := newTableBuilder()
			fleet, _ := newFleet(nodes, newRoster(""))
			err = errors.Join(b.addFleet(fleet), b.writeTo(&table, tableHosts, identity{}))
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(table.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.Clone(data)
		reseal(data)
		if len(data) > 3*tableBlock {
			at := 2 * tableBlock
			length := min(uint64(binary.LittleEndian.Uint32(data[at:])), uint64(len(data)-at-setHeadLength))
			body := data[at+setHeadLength:][:length]
			binary.LittleEndian.PutUint32(data[at+4:], setSum(0, body))
		}
		table, err := newTable(bytes.NewReader(data), int64(len(data)), identity{})
		if err != nil {
			return
		}
		if _, known, err := table.lookup("h"); known && err != nil {
			t.Errorf("known, and an error: %v", err)
		}
		_ = table.hosts(func(string, entry) bool { return true })
	})
}
