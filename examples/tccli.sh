#!/bin/sh
# Operate a task by Tencent Cloud's own command line, unmodified (pip install tccli), by its name:
# A key is made by `tidegate keys create NAME`; put it into TENCENTCLOUD_SECRET_ID and _SECRET_KEY.
#   sh examples/tccli.sh http://127.0.0.1:8080 shop_to_lake
set -eu
url=$1 task=$2
export TENCENTCLOUD_REGION="${TENCENTCLOUD_REGION:-ap-guangzhou}"
tccli configure set wedata.endpoint "$url" wedata.version 2021-08-20

ask() { action=$1; shift; tccli wedata "$action" --ProjectId default --TaskId "$task" "$@"; }
reaches() { ask DescribeIntegrationTask --waiter "{'expr':'TaskInfo.Status','to':$1,'timeout':300,'interval':2}" >/dev/null; }

ask SuspendIntegrationTask --Event SUSPEND
reaches 4 # Paused
ask ResumeIntegrationTask --Event RESUME
reaches 3 # Running
now=$(date +%s)
ask TaskLog --StartTime "$(((now - 3600) * 1000))" --EndTime "$((now * 1000))" --Limit 20
