# bash completion for assayfs(1)

_assayfs_secret='--passfile --extpass --recovery-key --recovery-key-file --keyfile --identity'

# The options of a command; `tests/fs/cli/check_docs.py` holds this against `assayfs help --json`.
_assayfs_options() {
	case $1 in
	init) echo '--passfile --extpass --no-recovery-key --cipher --argon-mem --argon-ops --json' ;;
	mount) echo "--foreground --accept-restore --state-dir --actions --options --audit --idle-lock --http $_assayfs_secret --kms --max-offline" ;;
	umount) echo '--lazy --force' ;;
	sync) ;;
	recover) echo "--endpoint --at --full --list --state-dir --json $_assayfs_secret --kms" ;;
	fsck) echo "--repair --accept-loss --json $_assayfs_secret --kms" ;;
	'policy suggest') echo '--output --json' ;;
	check) echo '--rules --policy --as --dataset --delimiter --nulls --type --ref --rows --output --parse-only --history --json' ;;
	find-subject) echo '--json' ;;
	scan) echo '--detect --sensitivity --table --text --summary --list --json' ;;
	'quarantine list') echo '--all --json' ;;
	'quarantine show') echo '--rows --json' ;;
	'quarantine release') echo '--reason --waiver-until --json' ;;
	'quarantine drop') echo '--reason --json' ;;
	lineage) echo '--all --dot --json' ;;
	erase) echo '--subject --derived --reason --dry-run --no-wait --json' ;;
	gc) echo '--dry-run --wait --json' ;;
	grant) echo '--reason --for --role --path --write --user --list --revoke --json' ;;
	access) echo '--user --json' ;;
	'alarm list') echo '--dead --waiting --json' ;;
	'alarm history') echo '--limit --json' ;;
	'alarm test') echo '--json' ;;
	'alarm silence') echo '--for --off --reason --json' ;;
	'alarm retry' | 'alarm drop') echo '--all' ;;
	'alarm key') echo '--json' ;;
	'backup add') echo '--endpoint --create --zone --prefix --lock-days --json' ;;
	'backup status' | 'backup remove') echo '--json' ;;
	'backup verify') echo '--sample --no-heal --json' ;;
	'backup sync') echo '--timeout' ;;
	'key list' | 'key disable' | 'key enable' | 'key cancel-deletion' | 'key alias' | 'key recipient new') echo '--json' ;;
	'key rotate') echo '--all --rewrap --wait --every --json' ;;
	'key schedule-deletion') echo '--days --json' ;;
	'key add') echo '--new-passfile --recovery --recipient --keyfile --kms --zones --keys --label --argon-mem --argon-ops --json' ;;
	'key recipient add') echo '--zones --keys --label --json' ;;
	'key remove') echo '--json' ;;
	lock) echo '--after' ;;
	unlock) echo "$_assayfs_secret --kms" ;;
	'token add') echo '--role --days --json' ;;
	'token list') echo '--json' ;;
	'token remove') ;;
	log) echo '--since --until --user --group --path --event --outcome --exe --pid --node --limit --follow --format --json' ;;
	'log summary') echo '--since --until --user --group --path --event --outcome --exe --pid --node --top --timezone --json' ;;
	'log verify') echo '--key --from --print --json' ;;
	'log key') echo '--all --json' ;;
	'log prove' | 'log check-proof') echo '--key' ;;
	'log archive') echo '--before --to --prune --list --json' ;;
	'log open') echo "--verify --json $_assayfs_secret --kms" ;;
	'policy apply') echo '--dry-run --hand-over --json --keep --recheck' ;;
	cost) echo '--json --profile --profiles' ;;
	run) echo '--no-wait --json' ;;
	runs) echo '--limit --json' ;;
	why) echo '--wait --json' ;;
	status | info | 'policy show' | versions | restore | help) echo '--json' ;;
	esac
	echo '--help'
}

_assayfs_commands='init mount umount sync status cost info fsck recover policy check scan why run runs quarantine versions restore lineage erase find-subject gc log key lock unlock grant token access alarm backup help'

_assayfs_events='accept-restore access alarm alarm-dead alarm-drop alarm-history alarm-key alarm-list alarm-retry alarm-silence alarm-test arrive attend backup-add backup-remove backup-sync backup-verify
	capture chmod chown close create damage deliver erase expire find-subject gc getxattr grant grant-revoke http init key-alias key-cancel-deletion key-create key-decrypt key-delete key-disable key-enable key-found key-generate-data-key
	key-list key-rewrap key-rotate key-schedule-deletion kms-away kms-back lineage link lock lock-after log-archive log-prune log-ship lookup mkdir mknod mount open opendir policy-apply policy-foresee policy-recheck
	policy-show publish quarantine-drop quarantine-list quarantine-release quarantine-show read-log recover removexattr rename repair restore rmdir run runs setxattr slot-add slot-remove stale
	supersede symlink token-add token-list token-remove truncate unlink unlock unmount utimes verdict versions why withdraw'

# What may follow an option; 1 when it takes no argument.
_assayfs_argument() {
	case $1 in
	--passfile | --new-passfile | --recovery-key-file | --keyfile | --identity | --as | --rows) compopt -o filenames && COMPREPLY=($(compgen -f -- "$2")) ;;
	--from) compopt -o filenames && COMPREPLY=($(compgen -f -- "$2")) ;;
	--state-dir | --actions) compopt -o filenames && COMPREPLY=($(compgen -d -- "$2")) ;;
	--to) compopt -o filenames && COMPREPLY=($(compgen -d -- "$2")) ;;
	--rules | -r) compopt -o filenames && COMPREPLY=($(compgen -f -X '!*.dqdl' -- "$2") $(compgen -d -- "$2")) ;;
	--policy | -p | --output) compopt -o filenames && COMPREPLY=($(compgen -d -- "$2")) ;;
	--options) COMPREPLY=($(compgen -W 'allow_other ro noexec nosuid nodev audit=strict' -- "$2")) ;;
	--http) COMPREPLY=($(compgen -W '127.0.0.1:9475' -- "$2")) ;;
	--audit) COMPREPLY=($(compgen -W 'strict batched' -- "$2")) ;;
	--cipher) COMPREPLY=($(compgen -W 'aes-256-gcm xchacha20-poly1305' -- "$2")) ;;
	--user) COMPREPLY=($(compgen -u -- "$2")) ;;
	--group) COMPREPLY=($(compgen -g -- "$2")) ;;
	--event) COMPREPLY=($(compgen -W "$_assayfs_events" -- "$2")) ;;
	--role) COMPREPLY=($(compgen -W 'steward ingester analyst auditor viewer' -- "$2")) ;;
	--zone) COMPREPLY=($(compgen -W 'Landing Raw Trusted' -- "$2")) ;;
	--zones) COMPREPLY=($(compgen -W 'Trusted Raw,Trusted Landing,Raw,Trusted' -- "$2")) ;;
	--days) COMPREPLY=($(compgen -W '7 14 30 90' -- "$2")) ;;
	--outcome) COMPREPLY=($(compgen -W 'ok denied error' -- "$2")) ;;
	--nulls) COMPREPLY=($(compgen -W 'glue empty none' -- "$2")) ;;
	--format) COMPREPLY=($(compgen -W 'text json csv cloudtrail ocsf' -- "$2")) ;;
	--since | --until | --before | --prune) COMPREPLY=($(compgen -W 'now today yesterday -1h -1d' -- "$2")) ;;
	--recipient | --kms | --label | --every | --endpoint | --prefix | --lock-days | --sample | --timeout | --extpass | --key | -k | --path | --exe | --pid | --node | --top | --timezone | --reason | --for | --revoke | --limit | -n | --delimiter | -d | --argon-mem | --argon-ops) ;;
	*) return 1 ;;
	esac
}

_assayfs() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} first=2
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W "$_assayfs_commands --help --version" -- "$cur"))
		return
	fi
	case $command in
	policy | quarantine | alarm | token | backup | key)
		if ((COMP_CWORD == 2)); then
			[[ $command == policy ]] && COMPREPLY=($(compgen -W 'apply show suggest' -- "$cur"))
			[[ $command == alarm ]] && COMPREPLY=($(compgen -W 'list history test silence retry drop key' -- "$cur"))
			[[ $command == backup ]] && COMPREPLY=($(compgen -W 'add status verify remove sync' -- "$cur"))
			[[ $command == quarantine ]] && COMPREPLY=($(compgen -W 'list show release drop' -- "$cur"))
			[[ $command == token ]] && COMPREPLY=($(compgen -W 'add list remove' -- "$cur"))
			[[ $command == key ]] && COMPREPLY=($(compgen -W 'list rotate disable enable schedule-deletion cancel-deletion alias add remove recipient' -- "$cur"))
			return
		fi
		command="$command ${COMP_WORDS[2]}"
		first=3
		if [[ $command == 'key recipient' ]]; then
			if ((COMP_CWORD == 3)); then
				COMPREPLY=($(compgen -W 'new add' -- "$cur"))
				return
			fi
			command="$command ${COMP_WORDS[3]}"
			first=4
		fi
		;;
	log)
		case ${COMP_WORDS[2]} in
		summary | verify | key | prove | check-proof | archive | open)
			if ((COMP_CWORD > 2)); then
				command="$command ${COMP_WORDS[2]}"
				first=3
			fi
			;;
		esac
		((COMP_CWORD == 2)) && [[ $cur != -* ]] &&
			COMPREPLY=($(compgen -W 'summary verify key prove check-proof archive open' -- "$cur"))
		((${#COMPREPLY[@]})) && return
		;;
	help)
		COMPREPLY=($(compgen -W "$_assayfs_commands --json" -- "$cur"))
		return
		;;
	esac
	if ((COMP_CWORD > first)) && _assayfs_argument "$prev" "$cur"; then
		return
	fi
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$(_assayfs_options "$command")" -- "$cur"))
		return
	fi
	compopt -o filenames
	COMPREPLY=($(compgen -f -- "$cur"))
}

complete -F _assayfs assayfs
