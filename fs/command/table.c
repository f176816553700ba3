#include "fs/command/command.h"

const struct command *const command_table[] = {
        &command_init,
        &command_mount,
        &command_umount,
        &command_sync,
        &command_status,
        &command_info,
        &command_fsck,
        &command_policy_apply,
        &command_policy_show,
        &command_policy_suggest,
        &command_check,
        &command_why,
        &command_run,
        &command_quarantine_list,
        &command_quarantine_show,
        &command_versions,
        &command_restore,
        &command_log,
        &command_help_row,
        NULL,
};
