package main

// contests are all that is measured, in the order of the table.
func contests() []contest {
	git := []string{"git"}
	return []contest{
		{needs: []string{"git", "tar", "cp"}, run: snapshotContest, rows: []row{
			timeRow("snapshot, files: auto", archive, 0.8),
			timeRow("snapshot, files: auto", copyAll, 0),
			peakRow("snapshot, files: auto", archive, 100e6),
		}},
		{needs: []string{"git", "tar"}, run: firstTagContest, rows: []row{
			timeRow("snapshot, first tag ever", archive, 1.25),
			peakRow("snapshot, first tag ever", archive, 100e6),
		}},
		{needs: []string{"git", "tar", "cp"}, run: hardlinkContest, rows: []row{
			timeRow("snapshot, files: hardlink, 10 files changed", copyLinks, 1.0),
			timeRow("snapshot, files: hardlink, 10 files changed", archive, 0.6),
			timeRow("snapshot, files: hardlink, 10 files changed", linkDest, 0, "rsync"),
			peakRow("snapshot, files: hardlink, 10 files changed", archive, 100e6),
			sizeRow("disk of one more tag, files: hardlink, 10 files changed", oneMoreTag, whatIsNew, 1.05),
			sizeRow("size of a manifest", manifestSize, filesOfTheTag, 0.02),
		}},
		{needs: git, run: updateContest(0), rows: []row{
			timeRow("update, nothing new", gitUpdate, 0.7),
			peakRow("update, nothing new", gitUpdate, 100e6),
		}},
		{needs: git, run: updateContest(10), rows: []row{
			timeRow("update, 10 files changed", gitUpdate, 0.7),
			peakRow("update, 10 files changed", gitUpdate, 100e6),
		}},
		{needs: []string{"git", "tar"}, run: hourContest, rows: []row{
			timeRow("an hour: update and snapshot, 10 files changed", gitHour, 0),
		}},
		{needs: git, run: cloneContest(true), rows: []row{
			timeRow("clone and checkout, git://", gitClone, 1.0),
			peakRow("clone and checkout, git://", gitClone, 250e6),
		}},
		{needs: git, run: cloneContest(false), rows: []row{
			timeRow("clone and checkout, local path", gitClone, 1.3),
			peakRow("clone and checkout, local path", gitClone, 250e6),
		}},
		{needs: []string{"git", "cp", "rm"}, run: removeContest, rows: []row{
			timesRow("removing a tag, until it is invisible", invisible, removeTree, 0.05),
			timeRow("removing a tag, until it is gone", removeTree, 1.0),
		}},
		{run: startContest(askNodetagger), rows: []row{
			timeRow("nodetagger HOST, 1,000 hosts", emptyProgram, 1.8),
			peakRow("nodetagger HOST, 1,000 hosts", emptyProgram, 20e6),
		}},
		{run: startContest(askList), rows: []row{timeRow("list", emptyProgram, 6.0)}},
		{run: startContest(askExplain), rows: []row{timeRow("explain HOST", emptyProgram, 6.0)}},
		{needs: []string{"git", "tar"}, run: growthContest, rows: []row{
			growthRow("growth of the cost of a file in a tree of ten times the size", 1.1),
		}},
	}
}
