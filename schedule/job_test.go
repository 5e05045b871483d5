package schedule_test

import (
	"strings"
	"testing"

	"github.com/etch/etchtag/schedule"
)

func TestParseSpecAccepts(t *testing.T) {
	for _, spec := range []string{
		"0 * * * *", "*/5 * * * *", " 0  *\t* * * ", "5-59/10 0-6 1,15 jan-jun mon", "0 0 29 2 *",
		"@hourly", "@daily", "@weekly", "@monthly", "@yearly", "@every 1m", "@every 1h30m",
	} {
		if err := schedule.ParseSpec(spec); err != nil {
			t.Error(err)
		}
	}
}

func TestParseSpecRefuses(t *testing.T) {
	for spec, why := range map[string]string{
		"":                               "empty",
		"hourly":                         "5 fields",
		"0 * * *":                        "5 fields",
		"0 0 * * * *":                    "5 fields",
		"60 * * * *":                     "60",
		"* 24 * * *":                     "24",
		"*/0 * * * *":                    "positive",
		"@often":                         "@often",
		"@every":                         "@every",
		"@every soon":                    "soon",
		"@every 59s":                     "less than a minute",
		"@every -1h":                     "less than a minute",
		"0 0 30 2 *":                     "never comes",
		", * * * *":                      "never comes",
		"TZ=UTC 0 * * * *":               "UTC",
		"CRON_TZ=Europe/Paris 0 * * * *": "UTC",
		" TZ=":                           "UTC",
	} {
		err := schedule.ParseSpec(spec)
		named := `cron expression "` + spec + `": `
		if err == nil || !strings.Contains(err.Error(), why) || !strings.HasPrefix(err.Error(), named) {
			t.Errorf("%q: got %v", spec, err)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		"0 * * * *", "*/5 0-6 1,15 JAN mon", "@every 1h", "TZ=", "*-* */9 ? ? ?", "@", "1/2/3 - , / *",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		_, err := schedule.New(schedule.Plan{Snapshot: schedule.Job{Spec: spec}}, schedule.Options{})
		if parsed := schedule.ParseSpec(spec); (err == nil) != (parsed == nil || spec == "") {
			t.Errorf("%q: New says %v, ParseSpec %v", spec, err, parsed)
		}
	})
}
