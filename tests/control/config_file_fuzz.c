/*
 * config_file_fuzz: any text as a configuration: no crash, no leak, and either a configuration or
 * at least one mistake. What was loaded once loads the same again.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/invariant.h"
#include "control/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct config_errors errs = CONFIG_ERRORS_INIT;
    struct config *first;
    struct config *second;
    int r = config_load_text("fuzz", (const char *)data, len, NULL, &first, &errs);

    INVARIANT((r == 0) == (first != NULL));
    INVARIANT((r == 0) == (errs.count == 0));
    for (size_t i = 0; i < errs.count; i++)
        INVARIANT(errs.items[i].text[0] != '\0' && (i == 0 || errs.items[i].line == 0 ||
                                                    errs.items[i - 1].line <= errs.items[i].line));
    config_errors_fini(&errs);
    if (r == 0) {
        struct output_config output;

        INVARIANT(config_resolve_output(&first->stream_default, &first->sinks[0], &output, NULL) ==
                  0 || first->stream_default.sinks.count > 0);
        INVARIANT(config_load_text("fuzz", (const char *)data, len, NULL, &second, &errs) == 0);
        INVARIANT(!config_restart_needed(first, second, NULL));
        INVARIANT(first->streams_count == second->streams_count);
        config_free(second);
        config_free(first);
    }
    return 0;
}
