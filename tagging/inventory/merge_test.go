package inventory

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// fake is an inventory with one answer for every host.
type fake struct {
	name   string
	answer Answer
	err    error
}

func (f fake) Name() string                                   { return f.name }
func (f fake) Lookup(context.Context, string) (Answer, error) { return f.answer, f.err }

func TestMergeUnitesGroupsAndKeepsAllPinsInOrder(t *testing.T) {
	groups := []string{"b", "c"}
	got, err := Merge(t.Context(), []Inventory{
		fake{name: "one", answer: Answer{Known: true, Groups: groups, Pin: "trunk-20261122-0900", PinFrom: "one:1"}},
		fake{name: "two", answer: Answer{}},
		fake{name: "three", answer: Answer{Known: true, Groups: []string{"a", "b"}, Pin: "tags/x", PinFrom: "three:7",
			Notes: []string{"read slowly"}}},
	}, "h")
	want := Merged{
		Known:  true,
		Groups: []string{"a", "b", "c"},
		Pins:   []Pin{{"trunk-20261122-0900", "one:1"}, {"tags/x", "three:7"}},
		Notes:  []string{"three: read slowly"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestMergeOfNothingKnowsNothing(t *testing.T) {
	for _, inventories := range [][]Inventory{nil, {fake{name: "one"}}} {
		got, err := Merge(t.Context(), inventories, "h")
		if err != nil || !reflect.DeepEqual(got, Merged{}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestMergeFailsWithAnyInventoryAndNamesIt(t *testing.T) {
	broken := errors.New("out of order")
	_, err := Merge(t.Context(), []Inventory{
		fake{name: "one", answer: Answer{Known: true}},
		fake{name: "two", err: broken},
	}, "h\n")
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), `"h\n" in inventory two`) {
		t.Errorf("got %v", err)
	}
}
