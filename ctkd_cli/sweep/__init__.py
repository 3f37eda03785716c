"""Many runs: read from their own files, shown while they go on, told in a table and a page.

| file | what |
|---|---|
| job.py | a job, from its directory; jobs that differ in their seed only |
| directory.py | all of a sweep: its jobs, its groups, the settings that validation chooses |
| shapes.py | what the groups' scores look like over the settings: curves, a grid, lines |
| watch.py | where all jobs are while they run |
| display.py | what the user sees of that |
"""
