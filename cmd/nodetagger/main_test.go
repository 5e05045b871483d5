package main

import (
	"os/exec"
	"strings"
	"testing"
)

// dear is what a program has to pay for at each start that imports it, or cannot need who does no more than decide.
var dear = []string{"net/http", "crypto/tls", "github.com/go-git/", "github.com/urfave/", "github.com/robfig/",
	"github.com/klauspost/", "github.com/etch/etchtag/snapshot", "github.com/etch/etchtag/schedule",
	"github.com/etch/etchtag/tagging/inventory/nventory"}

func TestNothingDearIsInIt(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range strings.Fields(string(out)) {
		for _, prefix := range dear {
			if strings.HasPrefix(name, prefix) {
				t.Errorf("it depends on %s", name)
			}
		}
	}
}
