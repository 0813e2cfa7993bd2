/*
 * cli_wal: `hydrant wal`: options, help, and which directory is meant.
 *
 * Owns:   nothing beyond a call.
 * Thread: main.
 */
#include "cli/cli_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_exit.h"
#include "cli/cli_options.h"
#include "cli/cli_wal_item.h"
#include "control/config.h"
#include "io/file.h"

#define WHERE_HELP \
    "DIR is a log's directory, or a data_dir with a log in wal/. Without DIR, the agent's:\n" \
    "\n" \
    "  -c, --config FILE  as the configuration says\n" \
    "  --data-dir D       D/wal (default ./hydrant-data/wal)\n"

static const char usage[] =
    "usage: hydrant wal ls     [DIR] [--json]\n"
    "       hydrant wal dump   [DIR] [--events] [--json] [FILTER...]\n"
    "       hydrant wal verify [DIR]\n"
    "\n"
    "Reads a log. Nothing is written or locked, so an agent may be at work on it.\n"
    "\n"
    "  ls      the files of the log: what they hold and what has become of them\n"
    "  dump    every group and item in a line, with --events every event\n"
    "  verify  checks all that is in it, prints what is wrong, then the books\n"
    "\n"
    WHERE_HELP
    "\n"
    "'hydrant wal ls --help' and so on tell more.\n"
    "\n"
    "Exit code: 0 done, 1 unreadable or damaged, 2 wrong usage.\n";

static const char usage_ls[] =
    "usage: hydrant wal ls [DIR] [-c FILE | --data-dir D] [--json]\n"
    "\n"
    "Lists the files of a log. A segment's name is shard, epoch, number.\n"
    "\n"
    "  STARTED   when the agent started that wrote it (the epoch, UTC)\n"
    "  FROM, TO  log positions (lsn) that it holds\n"
    "  GROUPS    groups of items, each with its COMMIT\n"
    "  STATE     closed: another one follows; being written: an agent has it locked; ends here:\n"
    "            the last one, and no agent is at work; spare: to be written again; unfinished:\n"
    "            was to become a segment; set aside: found unreadable at a start\n"
    "\n"
    WHERE_HELP
    "  --json             one JSON object\n"
    "\n"
    "Exit code: 0 listed, 1 unreadable, all or in part, 2 wrong usage.\n"
    "\n"
    "  hydrant wal ls hydrant-data\n";

static const char usage_dump[] =
    "usage: hydrant wal dump [DIR] [-c FILE | --data-dir D] [--events] [--json] [--stream NAME]\n"
    "                        [--ring NAME|ID] [--type TYPE[,TYPE...]] [--from LSN] [--to LSN]\n"
    "\n"
    "Prints a log, one line for each segment, group and item: lsn, time, type, fields. What could\n"
    "not be read is a line of type hole. The lsn of a span is that of its bytes.\n"
    "\n"
    "  --events           the events in the spans too, if the span's checksum is right; payloads\n"
    "                     are escaped for a terminal\n"
    "  --json             one JSON object a line; a payload is a string, or payload_base64\n"
    "  --stream NAME      only what concerns this stream\n"
    "  --ring NAME|ID     only what concerns this ring\n"
    "  --type TYPE,...    only these: segment, group, event, or items (span, attach, retire, def,\n"
    "                     stream, seal, ack, ... as printed); --events adds event; holes and\n"
    "                     damage are always shown\n"
    "  --from LSN         only groups that end above\n"
    "  --to LSN           only groups that begin below\n"
    "\n"
    WHERE_HELP
    "\n"
    "Exit code: 0 printed, 1 unreadable or damaged, 2 wrong usage.\n"
    "\n"
    "  hydrant wal dump --type seal,ack --stream clicks\n"
    "  hydrant wal dump --events --type event --json | jq -r .payload\n";

static const char usage_verify[] =
    "usage: hydrant wal verify [DIR] [-c FILE | --data-dir D]\n"
    "\n"
    "Reads a whole log: headers, COMMITs, items, checksums and frames of all events; whether\n"
    "items contradict each other, or checkpoints what is before them; the books. Of a data_dir it\n"
    "also reads the files of batches that are sealed and not delivered yet.\n"
    "\n"
    "  damage  what must not be: data is lost, or would be by the next crash\n"
    "  note    what a crash leaves behind and a start mends, such as an end that was not synced\n"
    "\n"
    WHERE_HELP
    "\n"
    "Exit code: 0 sound, 1 damaged or unreadable, 2 wrong usage.\n"
    "\n"
    "  hydrant wal verify hydrant-data\n";

enum { OPTION_DATA_DIR = 256, OPTION_JSON, OPTION_EVENTS, OPTION_STREAM, OPTION_RING, OPTION_TYPE,
       OPTION_FROM, OPTION_TO };

/* Each command takes the first `options` rows of the table below, and help. */
static const struct wal_command {
    const char *name, *full_name, *usage;
    int (*run)(const struct wal_args *args);
    size_t options;
} commands[] = {
    { "ls", "wal ls", usage_ls, cli_wal_ls, 3 },
    { "dump", "wal dump", usage_dump, cli_wal_dump, 9 },
    { "verify", "wal verify", usage_verify, cli_wal_verify, 2 },
};

static const struct option options[] = {
    { "config", required_argument, NULL, 'c' },
    { "data-dir", required_argument, NULL, OPTION_DATA_DIR },
    { "json", no_argument, NULL, OPTION_JSON },
    { "events", no_argument, NULL, OPTION_EVENTS },
    { "stream", required_argument, NULL, OPTION_STREAM },
    { "ring", required_argument, NULL, OPTION_RING },
    { "type", required_argument, NULL, OPTION_TYPE },
    { "from", required_argument, NULL, OPTION_FROM },
    { "to", required_argument, NULL, OPTION_TO },
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };

static bool lsn_parse(const char *command, const char *name, const char *text, uint64_t *ret_lsn)
{
    char *end;

    errno = 0;
    *ret_lsn = strtoull(text, &end, 10);
    if (errno == 0 && *end == '\0' && text[0] >= '0' && text[0] <= '9')
        return true;
    (void)cli_usage_error(command, "%s: '%s' is no log position", name, text);
    return false;
}

/* What is no item and yet has lines. */
static const struct {
    const char *name;
    uint64_t bit;
} frames[] = {
    { "hole", WAL_SHOW_HOLE },
    { "segment", WAL_SHOW_SEGMENT },
    { "group", WAL_SHOW_GROUP },
    { "event", WAL_SHOW_EVENT },
};

static bool types_parse(const char *command, const char *text, uint64_t *ret_types)
{
    *ret_types = 0;
    for (;;) {
        size_t len = strcspn(text, ",");
        uint64_t bit = 0;

        for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
            if (strlen(frames[i].name) == len && memcmp(frames[i].name, text, len) == 0)
                bit = frames[i].bit;
        for (int i = 1; i < WAL_ITEM_TYPE_COUNT && bit == 0; i++) {
            const char *name = wal_item_type_name((enum wal_item_type)i);

            if (strlen(name) == len && memcmp(name, text, len) == 0)
                bit = UINT64_C(1) << i;
        }
        if (bit == 0) {
            (void)cli_usage_error(command, "--type: there is no '%.*s'", (int)len, text);
            return false;
        }
        *ret_types |= bit;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

/* One that we may not look into is one too: that is said when it is to be read. */
static bool is_directory(const char *path)
{
    int fd = file_open(FILE_CWD, path, O_RDONLY | O_DIRECTORY, 0);

    file_close(fd);
    return fd >= 0 || fd == -EACCES;
}

/* The directory named on the command line. */
static int place_named(struct wal_args *args, const char *dir)
{
    if (asprintf(&args->wal_dir, "%s/wal", dir) < 0)
        return cli_fail(args->command, "out of memory");
    if (is_directory(args->wal_dir)) {
        args->data_dir = strdup(dir);
    } else {
        free(args->wal_dir);
        args->wal_dir = strdup(dir);
    }
    return args->wal_dir != NULL ? CLI_OK : cli_fail(args->command, "out of memory");
}

/* The agent's, by its configuration. */
static int place_configured(struct wal_args *args, const char *config_path, const char *data_dir)
{
    struct config_overrides over = { .data_dir = data_dir };
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *config;

    if (config_load(config_path, &over, &config, &errs) < 0) {
        config_errors_print(&errs, stderr);
        config_errors_fini(&errs);
        return CLI_FAILED;
    }
    args->wal_dir = strdup(config->wal.dir);
    args->data_dir = strdup(config->agent.data_dir);
    config_free(config);
    config_errors_fini(&errs);
    return args->wal_dir != NULL && args->data_dir != NULL
               ? CLI_OK
               : cli_fail(args->command, "out of memory");
}

static int wal_run(const struct wal_command *command, int argc, char **argv)
{
    struct option longs[OPTIONS + 2] = { { NULL, 0, NULL, 0 } };
    struct wal_args args = { .command = command->full_name, .types = UINT64_MAX & ~WAL_SHOW_EVENT,
                             .to_lsn = UINT64_MAX };
    const char *config_path = NULL, *data_dir = NULL;
    int c, code;

    memcpy(longs, options, command->options * sizeof(longs[0]));
    longs[command->options] = (struct option)CLI_OPTION_HELP_ROW;
    cli_options_begin();
    while ((c = cli_options_next(argc, argv, longs)) != -1) {
        bool ok = true;

        switch (c) {
        case 'c': config_path = optarg; break;
        case OPTION_DATA_DIR: data_dir = optarg; break;
        case OPTION_JSON: args.json = true; break;
        case OPTION_EVENTS: args.events = true; break;
        case OPTION_STREAM: args.stream = optarg; break;
        case OPTION_RING: args.ring = optarg; break;
        case OPTION_TYPE: ok = types_parse(argv[0], optarg, &args.types); break;
        case OPTION_FROM: ok = lsn_parse(argv[0], "--from", optarg, &args.from_lsn); break;
        case OPTION_TO: ok = lsn_parse(argv[0], "--to", optarg, &args.to_lsn); break;
        default:
            return cli_options_end(c, command->usage);
        }
        if (!ok)
            return CLI_USAGE;
    }
    if (argc - optind > 1)
        return cli_usage_error(argv[0], "one directory at a time");
    if (optind < argc && (config_path != NULL || data_dir != NULL))
        return cli_usage_error(argv[0], "either DIR, or -c and --data-dir");
    if (args.events)
        args.types |= WAL_SHOW_EVENT;
    args.events = (args.types & WAL_SHOW_EVENT) != 0;
    code = optind < argc ? place_named(&args, argv[optind])
                         : place_configured(&args, config_path, data_dir);
    if (code == CLI_OK)
        code = command->run(&args);
    free(args.wal_dir);
    free(args.data_dir);
    return code;
}

int cli_wal(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(usage, stdout);
        return CLI_OK;
    }
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        argv[1] = argv[0];      /* errors name the whole command's help */
        return wal_run(&commands[i], argc - 1, argv + 1);
    }
    return cli_usage_error(argv[0], "'ls', 'dump' or 'verify' is wanted");
}
