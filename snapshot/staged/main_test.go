package staged

import (
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
)

func TestMain(m *testing.M) { runtest.Main(m) }
