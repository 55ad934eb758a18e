#compdef chaosgate
# zsh completion for chaosgate. scripts/check-docs compares its flags with those of --help.

_chaosgate_names() {
  local what=${@[-1]}  # _arguments puts options of its own before it
  local -a names
  names=(${(f)"$($program list $what 2>/dev/null | grep -v '^ ')"})
  (($#names)) && _values -s , $what $names
}

_chaosgate() {
  local curcontext=$curcontext program=$words[1] state line ret=1
  local -a run_and_replay common
  common=(
    '--dir[work directory]:directory:_directories'
    '--worker[the chaosgate-worker program]:program:_files'
    '--hang-ms[bound of a recovery or a load]:milliseconds:'
    '--config[TOML file with settings]:file:_files -g "*.toml"'
    '--help[print help]'
  )
  run_and_replay=(
    $common
    '*--engine[engine configuration]:engine:_chaosgate_names engines'
    '--workload[profile of the load]:workload:_chaosgate_names workloads'
    '--protocol[durable-index protocol]:protocol:(in-batch sidecar both)'
    '--crash[how loads die]:kinds:_values -s , kinds timer step call'
    '--faults[what happens]:kinds:_values -s , kinds kill io power'
    '--plan[plans to carry out]:file:_files'
    '(--no-recrash)--recrash[kill some recoveries too]'
    '(--recrash)--no-recrash[kill no recovery]'
    '--maintenance[who flushes and compacts]:mode:(scheduled free-running both)'
    '--timer-us-max[longest delay of a timer kill]:microseconds:'
    '--fault[plant this fault]:fault:_chaosgate_names faults'
    '--segment-bytes[size at which a log segment is cut]:bytes:'
  )

  _arguments -C \
    '--help[print help]' \
    '--version[print versions]' \
    '--color[colour]:when:(auto always never)' \
    '1:command:((run\:"kill, recover, compare with the oracle" replay\:"one failure again" minimize\:"a power cut to its cause" sweep\:"die at every storage call" trace\:"the storage calls of a cycle" selftest\:"the gate against every planted fault" bench\:"what a cycle costs" certify\:"what an engine survives, as a certificate" migrate\:"the content of one engine into another" conform\:"what every engine must do, check by check" report\:"the numbers of a campaign again" list\:"what this build knows"))' \
    '*::argument:->command' && ret=0
  [[ $state == command ]] || return ret

  case $words[1] in
    run)
      _arguments $run_and_replay \
        '--replicas[replicas of one log]:number:' \
        '--engines[an engine for each replica]:engines:_chaosgate_names engines' \
        '--kills[confirmed kills for each engine, or replica]:number:' \
        '--images[power cuts\: disk images for each engine, or replica]:number:' \
        '--loads[power cuts\: record at most so many loads]:number:' \
        '--profile[power cuts\: what the file system promises]:profile:(strict ext4-writeback xfs ext4-ordered btrfs prefix)' \
        '--tap[when storage calls go through the driver]:when:(auto always off)' \
        '--print-plan[print what the seed plans]' \
        '--plan-checksum[refuse when this build plans something else]:checksum:' \
        '--json[print the result as JSON]' \
        '--seed[64 bits, decimal or hexadecimal]:seed:' \
        '--lanes[data directories worked on in parallel]:number:' \
        '--results[where result directories are kept]:directory:_directories' \
        '--failures-max[an engine ends after so many failures]:number:' \
        '(--no-regressions)--regressions[replay earlier failures first]' \
        '(--regressions)--no-regressions[do not replay earlier failures]' \
        '(--no-selftest)--selftest[also run against every planted fault]' \
        '(--selftest)--no-selftest[do not]' \
        '--at-risk-percent-min[least share of cycles with data at risk]:percent:' \
        '--print-config[print every setting with its source]' \
        '--quiet[no progress on stderr]'
      ;;
    replay)
      _arguments $run_and_replay \
        '--json[print the result as JSON]' \
        '--cycle[from a seed\: the cycle to run up to]:number:' \
        '--images[power cuts\: disk images of the campaign]:number:' \
        '--loads[power cuts\: loads of the campaign]:number:' \
        '--profile[power cuts\: what the file system promises]:profile:(strict ext4-writeback xfs ext4-ordered btrfs prefix)' \
        '--lanes[lanes of the campaign]:number:' \
        '--load[from a seed\: the load of a campaign of power cuts]:number:' \
        '--lane[from a seed\: its lane]:number:' \
        '--repeat[run it so many times]:number:' \
        '--plan-checksum[refuse when this build plans something else]:checksum:' \
        '--as-planned[do not pin the cycles before the wanted one]' \
        '1:seed or bundle:_files'
      ;;
    minimize)
      _arguments $common \
        '--engine[where the plugin of the bundle is]:plugin:_files' \
        '--json[print the result as JSON]' \
        '--out[write the smaller bundle to this file]:file:_files' \
        '--tests[judge at most so many images]:number:' \
        '--repeat[replay the result so often]:number:' \
        '1:bundle:_files'
      ;;
    sweep)
      _arguments $common \
        '*--engine[engine configuration]:engine:_chaosgate_names engines' \
        '--seed[64 bits, decimal or hexadecimal]:seed:' \
        '--workload[profile of the load]:workload:_chaosgate_names workloads' \
        '--protocol[durable-index protocol]:protocol:(in-batch sidecar both)' \
        '--fault[plant this fault]:fault:_chaosgate_names faults' \
        '--segment-bytes[size at which a log segment is cut]:bytes:' \
        '--results[where bundles are kept]:directory:_directories' \
        '--failures-max[an engine ends after so many failing points]:number:' \
        '--entries[entries of the load]:number:' \
        '--json[print the result as JSON]' \
        '--quiet[no progress on stderr]'
      ;;
    trace)
      _arguments $run_and_replay \
        '--cycle[from a seed\: the cycle]:number:' \
        '--images[power cuts\: disk images of the campaign]:number:' \
        '--loads[power cuts\: loads of the campaign]:number:' \
        '--profile[power cuts\: what the file system promises]:profile:(strict ext4-writeback xfs ext4-ordered btrfs prefix)' \
        '--lanes[lanes of the campaign]:number:' \
        '--load[from a seed\: the load of a campaign of power cuts]:number:' \
        '--record[print this one only]:number:' \
        '--lane[from a seed\: its lane]:number:' \
        '--output[write the trace to this file]:file:_files' \
        '--plan-checksum[refuse when this build plans something else]:checksum:' \
        '--as-planned[do not pin the cycles before the wanted one]' \
        '1:seed or trace file:_files'
      ;;
    selftest)
      _arguments $common \
        '--json[print the result as JSON]' \
        '*--engine[correct engine to run beside]:engine:_chaosgate_names engines' \
        '--seed[64 bits, decimal or hexadecimal]:seed:' \
        '--kills[most kills for each fault]:number:' \
        '--seeds[so many seeds, counted up from --seed]:number:' \
        '*--fault[only this planted fault]:fault:_chaosgate_names faults' \
        '--control-kills[kills of every correct configuration]:number:' \
        '--results[where result directories are kept]:directory:_directories' \
        '--quiet[no progress on stderr]'
      ;;
    bench)
      _arguments $common \
        '--json[print the result as JSON]' \
        '*--engine[engine configuration]:engine:_chaosgate_names engines' \
        '--seed[64 bits, decimal or hexadecimal]:seed:' \
        '--workload[profile of the load]:workload:_chaosgate_names workloads' \
        '--protocol[durable-index protocol]:protocol:(in-batch sidecar both)' \
        '--maintenance[who flushes and compacts]:mode:(scheduled free-running)' \
        '--cycles[cycles to measure]:number:' \
        '--images[disk images to judge]:number:' \
        '*--engines[compare these, separated by commas]:engine:_chaosgate_names engines' \
        '--entries[with --engines, entries of a load]:number:' \
        '--rounds[with --engines, rounds over all of them]:number:'
      ;;
    certify)
      _arguments $common \
        '--json[print the certificate as JSON]' \
        '--quiet[no progress on stderr]' \
        '--engine[engine configuration]:engine:_chaosgate_names engines' \
        '--seed[64 bits, decimal or hexadecimal]:seed:' \
        '--kills[confirmed kills]:number:' \
        '--images[disk images]:number:' \
        '--profile[what a file system promises]:profile:(prefix btrfs ext4-ordered xfs ext4-writeback strict)' \
        '--lanes[cycles side by side]:number:' \
        '--protocol[durable-index protocol]:protocol:(in-batch sidecar both)' \
        '--failures-max[end a campaign after so many]:number:' \
        '(--no-selftest)--selftest[also run against every planted fault]' \
        '(--selftest)--no-selftest[do not]' \
        '--level[the last level to try]:level:(conformance kill io power damage soak)' \
        '--fault[plant this fault]:fault:_chaosgate_names faults' \
        '--io-kills[kills of level io]:number:' \
        '--io-images[disk images of level io]:number:' \
        '--damages[damaged files of level damage]:number:' \
        '--soak-kills[kills of level soak]:number:' \
        '--out[directory for the certificate]:directory:_files -/'
      ;;
    migrate)
      _arguments $common \
        '--from[the source]:directory:_directories' \
        '--to[the target]:directory:_directories' \
        '*--engine[engine of the target; with --gate, all engines]:engine:_chaosgate_names engines' \
        '--from-engine[engine that reads the source]:engine:_chaosgate_names engines' \
        '--keyspaces[instead of those of the marker]:names:' \
        '--dry-run[check everything, make nothing]' \
        '--gate[kill migrations and judge what they end with]' \
        '--plan-checksum[gate\: refuse when this build plans something else]:checksum:' \
        '--kills[gate\: confirmed kills in each direction]:number:' \
        '--images[gate\: disk images in each direction]:number:' \
        '--seed[64 bits, decimal or hexadecimal]:seed:' \
        '--workload[gate\: profile of the load]:workload:_chaosgate_names workloads' \
        '--profile[gate\: what the file system promises]:profile:(strict ext4-writeback xfs ext4-ordered btrfs prefix)' \
        '--fault[gate\: plant this fault]:fault:(resume-skips-a-range resume-skips-unverified finish-without-sync)' \
        '--results[gate\: where findings are kept]:directory:_directories' \
        '--failures-max[gate\: a direction ends after so many findings]:number:' \
        '--json[print the result as JSON]' \
        '--quiet[no progress on stderr]'
      ;;
    conform)
      _arguments $common \
        '--json[print the result as JSON]' \
        '*--engine[engine configuration]:engine:_chaosgate_names engines' \
        '--seed[of the random operations]:seed:'
      ;;
    report)
      _arguments '--json[print the result as JSON]' '--help[print help]' \
        '1:result directory or events.jsonl:_files'
      ;;
    list)
      _arguments '*--engine[a plugin whose engines are listed too]:plugin:_files -g "*.so"' \
        '--worker[the chaosgate-worker program]:program:_files' \
        '--config[TOML file with settings]:file:_files -g "*.toml"' \
        '--json[print the list as JSON]' '--help[print help]' \
        '1:what:(engines workloads faults steps invariants)'
      ;;
  esac
}

_chaosgate "$@"
