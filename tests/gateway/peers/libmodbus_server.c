/* A Modbus server on libmodbus, unit 1, for one connection after the other: `server PORT`.
 *
 * Holding registers 0 … 15 hold the float 1.5 and the int32 -123456789 in the orders ABCD, CDAB, BADC, DCBA:
 * written word by word, for modbus_set_float_abcd and its sisters changed their meaning between 3.1.6 and 3.1.7.
 * Holding registers from 100 on: their own address. Coil n and discrete input n: 1 where n divides by 3.
 * Input registers: 5000 + address. 200 of each; what lies beyond is exception 2.
 * The port is written to stdout once the server listens; it ends when stdin is closed.
 */
#include <errno.h>
#include <modbus.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CELLS = 200 };

static void fill_orders(uint32_t bits, uint16_t *at)
{
    const uint16_t high = (uint16_t) (bits >> 16), low = (uint16_t) bits;
    const uint16_t words[4][2] = {{high, low}, {low, high}, {high, low}, {low, high}};
    for (int order = 0; order < 4; order++) {
        for (int word = 0; word < 2; word++) {
            const uint16_t w = words[order][word];
            at[2 * order + word] = order < 2 ? w : (uint16_t) (w << 8 | w >> 8);
        }
    }
}

static void fill(modbus_mapping_t *map)
{
    for (int i = 0; i < CELLS; i++) {
        map->tab_bits[i] = map->tab_input_bits[i] = i % 3 == 0;
        map->tab_registers[i] = (uint16_t) i;
        map->tab_input_registers[i] = (uint16_t) (5000 + i);
    }
    const float number = 1.5f;
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    fill_orders(bits, map->tab_registers);
    fill_orders((uint32_t) -123456789, map->tab_registers + 8);
}

static int readable(int fd) /* 0 when stdin was closed */
{
    struct pollfd both[2] = {{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    while (poll(both, 2, -1) < 0 && errno == EINTR) {
    }
    return both[1].revents == 0;
}

int main(int argc, char **argv)
{
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", argc > 1 ? atoi(argv[1]) : 1502);
    modbus_mapping_t *map = modbus_mapping_new(CELLS, CELLS, CELLS, CELLS);
    int listener = ctx && map ? modbus_tcp_listen(ctx, 1) : -1;
    if (listener < 0) {
        fprintf(stderr, "%s\n", modbus_strerror(errno));
        return 1;
    }
    fill(map);
    puts("listening");
    fflush(stdout);
    while (readable(listener)) {
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
        int length = 0;
        const int client = modbus_tcp_accept(ctx, &listener);
        while (length >= 0 && readable(client)) {
            length = modbus_receive(ctx, query);
            if (length > 0)
                modbus_reply(ctx, query, length, map);
        }
        modbus_close(ctx);
    }
    close(listener);
    modbus_mapping_free(map);
    modbus_free(ctx);
    return 0;
}
