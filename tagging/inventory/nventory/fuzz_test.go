package nventory

import (
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/parse"
)

// lookupXML and listXML read an answer without a server.
func lookupXML(text, host string) (groups []string, pin string, count int, err error) {
	err = eachNode(strings.NewReader(text), New(Options{}).limits, func(n *answerNode) error {
		if n.host == host {
			groups, pin = parse.SortedSet(slices.Clone(n.groups)), n.pin
			count++
		}
		return nil
	})
	return groups, pin, count, err
}

// FuzzNVentoryXML holds that an answer is refused or consistent: a list has what a look at each node finds, in
// order and once.
func FuzzNVentoryXML(f *testing.F) {
	f.Add(sampleAnswer(f))
	for _, seed := range []string{
		"", laughs, nodes(), `<nil_classes type="array"/>`, nodes(node(nodeName, oneGroup)),
		"<nodes>" + nodeXML("A", "trunk", []string{"y", "x", "y"}) + nodeXML("b", "", nil) + nodeXML("a", "", nil) + "</nodes>",
		nodes(node("<name><![CDATA[h]]></name>", noGroups, "<config_mgmt_tag>&#10;</config_mgmt_tag>")),
		"<?xml version='1.0' encoding='utf-16'?><nodes/>", "<nodes><!-- --><?x?></nodes>", "<nodes><node/>",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l := newListing(1 << 30)
		err := eachNode(strings.NewReader(text), New(Options{}).limits, l.add)
		if err == nil {
			err = l.sort()
		}
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without a text")
			}
			return
		}
		for i, row := range l.rows {
			groups, pin, count, err := lookupXML(text, row.host)
			if err != nil || count != 1 || pin != row.pin || !slices.Equal(groups, l.lists.Union(row.list)) {
				t.Errorf("host %q: %+v in the list, %q %q in %d nodes, error %v", row.host, row, groups, pin, count, err)
			}
			if row.host == "" || slices.Contains(groups, "") || strings.ContainsAny(pin, "\r\n\x00") ||
				i > 0 && row.host <= l.rows[i-1].host {
				t.Errorf("row %d: %+v with groups %q", i, row, groups)
			}
		}
	})
}
