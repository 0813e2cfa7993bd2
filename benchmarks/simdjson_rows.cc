/*
 * simdjson_rows: see the header.
 * Owns:   its parser.
 * Thread: one.
 */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include "benchmarks/simdjson_rows.h"

#include <new>

struct simdjson_rows {
    simdjson::ondemand::parser parser;
};

struct simdjson_rows *simdjson_rows_open(void)
{
    return new (std::nothrow) simdjson_rows;
}

void simdjson_rows_close(struct simdjson_rows *rows)
{
    delete rows;
}

bool simdjson_rows_take(struct simdjson_rows *rows, const char *text, size_t len,
                        struct simdjson_row *ret_row)
{
    simdjson::ondemand::document document;
    simdjson::ondemand::object object;
    std::string_view user, country, url;

    if (rows->parser.iterate(text, len, len + simdjson::SIMDJSON_PADDING).get(document) ||
        document.get_object().get(object) ||
        object.find_field("ts").get_int64().get(ret_row->ts) ||
        object.find_field("user").get_string().get(user) ||
        object.find_field("country").get_string().get(country) ||
        object.find_field("amount").get_double().get(ret_row->amount) ||
        object.find_field("status").get_int64().get(ret_row->status) ||
        object.find_field("url").get_string().get(url))
        return false;
    ret_row->user = user.data();
    ret_row->user_len = user.size();
    ret_row->country = country.data();
    ret_row->country_len = country.size();
    ret_row->url = url.data();
    ret_row->url_len = url.size();
    return true;
}
