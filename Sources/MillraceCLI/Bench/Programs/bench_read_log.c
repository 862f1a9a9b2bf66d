/* Reads the log page by page with libpq alone, for a number of seconds, from the start over and over.
   Usage: reader STATEMENT PAGE SECONDS, the address in PGDATABASE. Prints the events and the seconds. */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static int failed(const char *what, PGconn *connection) {
    fprintf(stderr, "%s: %s\n", what, PQerrorMessage(connection));
    return 1;
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    const char *keywords[] = {"dbname", NULL};
    const char *values[] = {getenv("PGDATABASE"), NULL};
    PGconn *connection = PQconnectdbParams(keywords, values, 1);
    if (PQstatus(connection) != CONNECTION_OK) return failed("cannot connect", connection);
    PQclear(PQprepare(connection, "page", arguments[1], 0, NULL));

    const int page = atoi(arguments[2]);
    const double began = now(), until = began + atof(arguments[3]);
    unsigned long events = 0;
    unsigned char after[8] = {0}, limit[8] = {0};
    const uint32_t size = htonl((uint32_t)page);
    memcpy(limit + 4, &size, 4);
    const char *bound[] = {(char *)after, (char *)limit};
    const int lengths[] = {8, 8}, formats[] = {1, 1};
    while (now() < until) {
        PGresult *rows = PQexecPrepared(connection, "page", 2, bound, lengths, formats, 1);
        if (PQresultStatus(rows) != PGRES_TUPLES_OK) return failed("cannot read", connection);
        const int read = PQntuples(rows);
        events += read;
        if (read == page) memcpy(after, PQgetvalue(rows, read - 1, 0), 8);
        else memset(after, 0, 8);
        PQclear(rows);
    }
    printf("%lu %.6f\n", events, now() - began);
    PQfinish(connection);
    return 0;
}
