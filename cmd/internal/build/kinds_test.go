package build

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
)

// What a configuration may name can be made, and what can be made can be named.
func TestEveryKindHasItsRow(t *testing.T) {
	t.Parallel()
	named := func(file string) []string {
		c := config.Default()
		err := c.Parse("F", []byte(file), func(string) error { return nil })
		if err == nil {
			t.Fatalf("%s is accepted", file)
		}
		_, list, _ := strings.Cut(err.Error(), "must be ")
		list, _, _ = strings.Cut(list, ", not ")
		return slices.Sorted(slices.Values(strings.Split(strings.Replace(list, " or ", ", ", 1), ", ")))
	}
	inventories, made := slices.Sorted(maps.Keys(Kinds(os.Getenv))), slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(sources)), "auto")))
	if got := named("inventory: [{kind: x}]"); !slices.Equal(got, inventories) {
		t.Errorf("inventories: %q can be named, %q can be made", got, inventories)
	}
	if got := named("working_copy: {kind: x}"); !slices.Equal(got, made) {
		t.Errorf("sources: %q can be named, %q can be made", got, made)
	}
	for name, kind := range decide.LocalKinds {
		if kind.New == nil {
			t.Errorf("no inventory of kind %s can be made", name)
		}
	}
}
