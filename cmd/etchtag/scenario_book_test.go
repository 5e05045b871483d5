package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// book is what can go wrong, by the numbers of the book of scenarios, and the tests of single parts that prove more
// than the TestScenario of that number, which lives through all of it with the real program. In every one no reader
// ever sees a partial tag, no published tag is damaged, the exit status tells the truth, and the next run repairs what
// is left without help.
var book = []struct {
	what string
	also []string // "package.Test"; the package is its directory
}{
	1: {"kill -9 at any step of update, snapshot, prune or mark", []string{"cmd/etchtag.TestNothingIsLostByAFaultAtAnyOperation",
		"cmd/etchtag.TestKillLoop", "snapshot/source/git.TestUpdateKilledAtAnyStepIsMadeGoodByTheNext",
		"snapshot/source/git.TestCloneKilledAtAnyStepLeavesNoHalfAWorkingCopy", "snapshot/source/git/checkout.TestWorktreeRecoversFromAKillAtEveryStep",
		"snapshot/source/svn.TestSVNKilledClientIsMadeGood", "snapshot/source/svn.TestSVNMixtureIsNotPublished",
		"snapshot.TestWhenNothingIsWholeTheNewestTagIsPublishedAgain", "snapshot/source/cvs.TestCVSKilledClientIsMadeUpFor"}},
	2: {"power cut after \"created\" was reported", []string{"cmd/etchtag.TestNothingIsLostByAFaultAtAnyOperation",
		"snapshot.TestATagIsDurableBeforeItIsExchanged", "snapshot/source/git/checkout.TestWorktreeMakesFilesDurableBeforeTheIndexSpeaksOfThem"}},
	3: {"disk or quota full at any write", []string{"cmd/etchtag.TestNothingIsLostByAFaultAtAnyOperation",
		"snapshot.TestAFailureAtAnyStepLeavesNoTagOrAWholeOne", "tagging.TestTheKillswitchIsOnAlthoughItsMessageFails",
		"tagging/inventory.TestFullDisk"}},
	4: {"inodes exhausted", []string{"snapshot.TestNotEnoughSpaceIsRefusedBeforeAnythingIsStaged"}},
	5: {"two snapshots, a prune and 50 resolvers at once, again and again", []string{"cmd/etchtag.TestKillLoop",
		"snapshot.TestASecondRunIsBusy"}},
	6: {"crash half-way through deleting a tag", []string{"snapshot.TestSweepRemovesWhatDeadRunsLeft",
		"snapshot.TestOnlyWholeTagsAreGivenBack"}},
	7: {"clock a year ahead, two hours back, stepping at HH:59:59", []string{"schedule.TestAClockAYearAheadAndBackAgain",
		"schedule.TestAClockSetBackToAnHourThatHasItsTagMakesNone", "schedule.TestAStepAcrossTheFullHourMissesNothing",
		"snapshot.TestATagGoesOnlyIfEveryReasonLetsItGo", "tagging.TestNoTagOfTheFutureIsServed"}},
	8: {"daylight saving, any TZ", []string{"tagging/tag.TestNamesAreInUTC", "schedule.TestTimesAreUTCWhateverTheZoneOfTheClock"}},
	9: {"five days without upstream or without a run", []string{"tagging.TestRingTag", "snapshot.TestThePlanIsTheNaiveOne",
		"tagging.TestWithoutWhatIsNotNeededNothingIsDifferent"}},
	10: {"upstream unreachable, hung, revoked, wrong URL, emptied, branch deleted", []string{
		"snapshot/source/git.TestUpstreamThatIsNotAsItWasIsAnErrorThatChangesNothing", "snapshot/source/git.TestServerThatHangsEndsByTheDeadline",
		"snapshot/source/svn.TestSVNEmptiedUpstreamIsNotFollowed", "snapshot/source/cvs.TestCVSDoesNotFollowUpstreamIntoNothing",
		"snapshot/source/git.TestGitConformance", "snapshot/source/svn.TestSVNConformance", "snapshot/source/cvs.TestCVSConformance"}},
	11: {"upstream's history rewritten, backwards too", []string{"snapshot/source/git.TestRewrittenHistoryIsFollowedAndSaid",
		"snapshot/source/svn.TestSVNRewrittenUpstreamIsFollowed"}},
	12: {"missing or corrupt objects, truncated index or ref, stale lock files, upstream down or up", []string{
		"snapshot/source/git.TestDamagedRepositoryIsMadeAnewFromUpstream", "snapshot/source/git.TestDamagedRepositoryWithoutUpstreamIsLeftAsItIs",
		"snapshot/source/git/checkout.TestGitTreeNeverEndsAtAMissingObject", "snapshot/source/svn.TestSVNDamagedWorkingCopyIsCheckedOutAnew"}},
	13: {"the source of kind dir changes while it is copied", []string{"snapshot/source/dir.TestDirThatNeverHoldsStillIsGivenUp",
		"snapshot/source/workcopy.TestTreeThatChangesWhileItIsCopiedIsNoticed"}},
	14: {"someone edits a tag, or makes it immutable with chattr", []string{"snapshot.TestVerifyFindsExactlyTheFilesThatWereTouched",
		"snapshot.TestATouchedFileOfThePreviousTagIsNotHandedOn", "snapshot.TestOneTagThatCannotBeRemovedDoesNotKeepTheOthers"}},
	15: {"hostile tree: links out of the tree, .., .git variants, case twins, odd Unicode, newlines in names, setuid, fifo, " +
		"10,000 levels, huge files", []string{"snapshot/source/git/checkout.TestGitTreeRefusesEntriesByName",
		"snapshot/source/git/object.TestGitTreeRefusesATreeThatExplodes", "snapshot/source/git/checkout.TestWorktreeNeverReachesOutsideThroughALink",
		"snapshot/source/workcopy.TestSpecialFilesAreRefusedByName", "snapshot/source/workcopy.TestPathTooLongToBeNamedIsRefused",
		"snapshot/source/svn.TestSVNUnusualNames", "snapshot/source/cvs.TestCVSUnusualNames"}},
	16: {"hostile host name: ;, $(...), newline, .., 10 kB, NUL", []string{"cmd/etchtag.TestWrapperHandsEveryHostNameOver",
		"tagging/inventory.TestProgramGetsTheHostAsItsLastArgumentAndNoShellSeesIt"}},
	17: {"all tags bad; badfwd with nothing newer; good required and none good", []string{"tagging.TestRingTag",
		"tagging.TestFailuresSayWhatWasLookedFor"}},
	18: {"pin to a missing tag, to /etc, to ../x, through a link out of the base", []string{"tagging.TestCheckPath",
		"tagging.TestAPinThatFailsNamesItselfAndWhereItIsWritten"}},
	19: {"tagstate half-written, unreadable, a directory, 10 MB, wrong encoding", []string{"tagstate.TestAFileInUTF16IsWarnedOfAndNotSilent",
		"tagstate.TestATruncatedEntryIsNeverGood", "tagstate.TestTenMegabytes", "tagstate/lines.TestAFileWithoutPermissionIsAFailureAndNotAnEmptyFile"}},
	20: {"missed hours, a snapshot that takes longer than an hour, a resolver at HH:00:00", []string{
		"schedule.TestASnapshotLongerThanAnHourIsNotOverlappedAndTheHourItMissedIsMade", "cmd/etchtag.TestEveryFindingSaysWhatIsWrongAndWhatToDo"}},
	21: {"nVentory down, slow, lying, redirecting in circles, 50 MB of XML, entity bombs", []string{
		"tagging/inventory/nventory.TestAnswersOfNVentoryThatAreNone", "tagging/inventory/nventory.TestAnswersOfNVentoryThatAreTooLarge",
		"tagging/inventory/nventory.TestOnly200IsAnAnswerOfNVentory"}},
	22: {"ssh host key unknown, changed, of another type, hashed known_hosts", []string{
		"snapshot/source/git.TestSSHServerIsTrustedOnlyByAKnownKey", "snapshot/source/svn.TestSVNHostKeysAreNeverTrustedOnFirstUse",
		"snapshot/source/cvs.TestCVSUnknownHostKeyIsRefused"}},
	23: {"prune while a client reads the oldest or a pinned tag; equal mtimes; foreign directories; a tag that is a link", []string{
		"snapshot.TestPruneNeverTouchesWhatIsNotOurs", "snapshot.TestThePlanIsTheNaiveOne",
		"tagging.TestWithoutWhatIsNotNeededNothingIsDifferent"}},
	24: {"run as an unprivileged user on a read-only file system", []string{"tagging.TestDecidingNeedsNoPrivileges",
		"tagging/inventory.TestServerUserNeedsOnlyTheCache"}},
}

// TestEveryScenarioOfTheBookIsTested finds the tests that the book names.
func TestEveryScenarioOfTheBookIsTested(t *testing.T) {
	tests := allTests(t)
	numbered := regexp.MustCompile(`^cmd/etchtag\.TestScenario(\d\d)[A-Z]`)
	found := make([]bool, len(book))
	for _, name := range tests {
		if match := numbered.FindStringSubmatch(name); match != nil {
			if n, _ := strconv.Atoi(match[1]); n > 0 && n < len(book) {
				found[n] = true
				continue
			}
		}
		if strings.HasPrefix(name, "cmd/etchtag.TestScenario") {
			t.Errorf("%s has no number of the book", name)
		}
	}
	for n := 1; n < len(book); n++ {
		if !found[n] {
			t.Errorf("there is no TestScenario%02d: %s", n, book[n].what)
		}
		for _, name := range book[n].also {
			if !slices.Contains(tests, name) {
				t.Errorf("%d: there is no %s", n, name)
			}
		}
	}
}

// allTests lists the tests and fuzz targets of all packages, as "package.Test".
func allTests(t *testing.T) (names []string) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				names = append(names, fmt.Sprintf("%s.%s", filepath.ToSlash(dir), f.Name.Name))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
