// The clock loop of the native runner: the steps of a cycle as in player.py, over a Verilated model.
//
// Compiled with a generated header that makes the machine and lists its ports, and loaded by
// native.py through the C functions at the end. The model holds its inputs in registers that take
// them with a change of `drive`, so that with an edge come the inputs of the cycle behind it.

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "ports.h"  // Machine, Port, PORT_COUNT, void list_ports(Machine&, Port*)
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

struct Feed {
    void* valid;
    void* ready;
    Port payload;
    const uint8_t* payloads;
    int64_t count;
    const uint8_t* stalls;
    int64_t stall_length;
    int64_t* cycles;
    int64_t next;
    bool offered;
};

struct Drain {
    void* valid;
    void* ready;
    Port payload;
    const uint8_t* expected;
    const uint8_t* keys;
    int64_t count;
    int64_t capacity;
    const uint8_t* stalls;
    int64_t stall_length;
    int64_t* cycles;
    uint8_t* payloads;
    uint8_t* mismatched;
    int64_t taken;
    bool open;
    // Expected payloads by their key bits, in order.
    std::map<std::string, std::deque<int64_t>> queues;
};

// Accesses of one kind that are kept.
struct Log {
    int64_t capacity;
    int64_t* cycles;
    uint64_t* addresses;
    int64_t logged;

    void keep(int64_t cycle, uint64_t address) {
        if (logged >= capacity) return;
        cycles[logged] = cycle;
        addresses[logged++] = address;
    }
};

struct Asked {
    const uint8_t* beat = nullptr;
    int bytes = 0;
};

struct Memory {
    void* valid;
    Port address;
    Port data;
    // Null where the port only reads.
    void* write;
    Port write_data;
    uint8_t* bytes;
    // Of a beat in memory; the model's port may be padded beyond it.
    int beat_bytes;
    uint64_t beats;
    uint64_t log_every;
    // What it was asked for in the last cycle; also between plays.
    Asked* asked;
    Log reads;
    Log writes;
};

uint8_t bit(const void* port) { return *static_cast<const uint8_t*>(port); }
void set_bit(void* port, bool value) { *static_cast<uint8_t*>(port) = value; }

uint64_t number(const Port& port) {
    uint64_t value = 0;
    std::memcpy(&value, port.data, port.bytes < 8 ? port.bytes : 8);
    return value;
}

std::string masked(const uint8_t* payload, const uint8_t* mask, int bytes) {
    std::string key(reinterpret_cast<const char*>(payload), bytes);
    for (int i = 0; i < bytes; ++i) key[i] &= static_cast<char>(mask[i]);
    return key;
}

}  // namespace

struct Runner {
    Machine machine;
    Port ports[PORT_COUNT];
    int64_t cycle = 0;
    std::map<void*, Asked> asked;  // By the data port.
    std::vector<Feed> feeds;
    std::vector<Drain> drains;
    std::vector<Memory> memories;
    uint64_t bad_address = 0;
    int bad_memory = -1;
    bool bad_write = false;
#if VM_TRACE
    VerilatedVcdC trace;
    int64_t trace_from = 0;
    int64_t trace_until = 0;
#endif

    Runner() { list_ports(machine, ports); }

    // The inputs that are set take effect, those of a cycle once.
    void drive() {
        machine.settle();
        dump(0);
    }

    void edge(bool driven = false) {
        machine.rise(driven);
        dump(1);
        machine.fall();
        ++cycle;
    }

    void dump(int phase) {
#if VM_TRACE
        if (cycle < trace_from) return;
        if (cycle < trace_until) {
            trace.dump(static_cast<uint64_t>(cycle) * 2 + phase);
        } else if (trace.isOpen()) {
            trace.close();
        }
#endif
        (void)phase;
    }

    void reset() {
        drive();
        machine.reset(true);
        drive();
        edge();
        machine.reset(false);
        cycle = 0;
    }

    // Memories give what was read in the cycle before.
    void answer() {
        for (Memory& memory : memories) {
            const Asked& wanted = *memory.asked;
            if (!wanted.beat) continue;
            uint8_t* data = static_cast<uint8_t*>(memory.data.data);
            std::memcpy(data, wanted.beat, wanted.bytes);
            std::memset(data + wanted.bytes, 0, memory.data.bytes - wanted.bytes);
        }
    }

    // Memories take what is read and written in this cycle; false if an address is beyond one.
    bool serve() {
        for (int index = 0; index < static_cast<int>(memories.size()); ++index) {
            Memory& memory = memories[index];
            Asked& wanted = *memory.asked;
            wanted.beat = nullptr;
            if (!bit(memory.valid)) continue;
            const uint64_t address = number(memory.address);
            const bool write = memory.write && bit(memory.write);
            if (address >= memory.beats) {
                bad_address = address;
                bad_memory = index;
                bad_write = write;
                return false;
            }
            uint8_t* beat = memory.bytes + address * memory.beat_bytes;
            if (write)
                std::memcpy(beat, memory.write_data.data, memory.beat_bytes);
            else
                wanted = {beat, memory.beat_bytes};
            if (memory.log_every && address % memory.log_every == 0)
                (write ? memory.writes : memory.reads).keep(cycle, address);
        }
        return true;
    }

    // Sets the inputs of a cycle; what a play returns if it ends before it, else -1.
    int begin(int64_t at, int64_t limit, int64_t& trailing) {
        bool done = true;
        for (const Feed& feed : feeds) done &= feed.next == feed.count;
        for (const Drain& drain : drains) done &= drain.taken >= drain.count;
        if (done && trailing-- == 0) {
            for (Feed& feed : feeds) set_bit(feed.valid, false);
            for (Drain& drain : drains) set_bit(drain.ready, false);
            return 0;
        }
        if (at >= limit) return 1;
        for (Feed& feed : feeds) {
            if (!feed.offered && feed.next < feed.count)
                feed.offered = !feed.stall_length || !feed.stalls[at % feed.stall_length];
            set_bit(feed.valid, feed.offered);
            if (feed.offered)
                std::memcpy(feed.payload.data, feed.payloads + feed.next * feed.payload.bytes,
                            feed.payload.bytes);
        }
        for (Drain& drain : drains) {
            drain.open = (done || drain.taken < drain.count) &&
                         (!drain.stall_length || !drain.stalls[at % drain.stall_length]);
            set_bit(drain.ready, drain.open);
        }
        answer();
        return -1;
    }

    // 0 done, 1 no end within the limit, 2 a storage address beyond its memory.
    int play(int64_t cycles, int64_t trailing) {
        const int64_t limit = cycle + cycles;
        int status = begin(cycle, limit, trailing);
        if (status < 0) drive();
        while (status < 0) {
            for (Feed& feed : feeds) {
                if (feed.offered && bit(feed.ready)) {
                    feed.cycles[feed.next++] = cycle;
                    feed.offered = false;
                }
            }
            for (Drain& drain : drains) {
                if (drain.open && bit(drain.valid)) take(drain);
            }
            if (!serve()) return 2;
#if VM_TRACE
            edge();
            status = begin(cycle, limit, trailing);
            if (status < 0) drive();
#else
            // No input depends on an output of its own cycle: the next ones come with the edge.
            status = begin(cycle + 1, limit, trailing);
            edge(status < 0);
#endif
        }
        return status;
    }

    void take(Drain& drain) {
        if (drain.taken >= drain.capacity) {
            ++drain.taken;
            return;
        }
        const int bytes = drain.payload.bytes;
        uint8_t* payload = drain.payloads + drain.taken * bytes;
        std::memcpy(payload, drain.payload.data, bytes);
        drain.cycles[drain.taken] = cycle;
        bool matches = drain.taken < drain.count;
        if (drain.expected) {
            auto& queue = drain.queues[masked(payload, drain.keys, bytes)];
            matches = matches && !queue.empty() &&
                      !std::memcmp(payload, drain.expected + queue.front() * bytes, bytes);
            if (!queue.empty()) queue.pop_front();
        }
        drain.mismatched[drain.taken++] = !matches;
    }
};

extern "C" {

Runner* runner_open() {
    Runner* runner = new Runner;
    runner->reset();
    return runner;
}

void runner_close(Runner* runner) {
#if VM_TRACE
    if (runner->trace.isOpen()) runner->trace.close();
#endif
    runner->machine.end();
    delete runner;
}

int runner_trace(Runner* runner, const char* path, int64_t from, int64_t cycles) {
#if VM_TRACE
    runner->machine.context.traceEverOn(true);
    runner->machine.model.trace(&runner->trace, 99);
    runner->trace.open(path);
    runner->trace_from = from;
    runner->trace_until = from + cycles;
    return runner->trace.isOpen();
#else
    (void)runner, (void)path, (void)from, (void)cycles;
    return 0;
#endif
}

int64_t runner_cycle(const Runner* runner) { return runner->cycle; }

void runner_set(Runner* runner, int port, const uint8_t* value) {
    std::memcpy(runner->ports[port].data, value, runner->ports[port].bytes);
}

void runner_get(const Runner* runner, int port, uint8_t* value) {
    std::memcpy(value, runner->ports[port].data, runner->ports[port].bytes);
}

void* runner_port(Runner* runner, int port) { return runner->ports[port].data; }

void runner_settle(Runner* runner) { runner->drive(); }
void runner_edge(Runner* runner) { runner->edge(); }

void runner_disconnect(Runner* runner) {
    runner->feeds.clear();
    runner->drains.clear();
    runner->memories.clear();
}

void runner_feed(Runner* runner, int valid, int ready, int payload, const uint8_t* payloads,
                 int64_t count, const uint8_t* stalls, int64_t stall_length, int64_t* cycles) {
    Port* ports = runner->ports;
    runner->feeds.push_back({ports[valid].data, ports[ready].data, ports[payload], payloads, count,
                             stalls, stall_length, cycles, 0, false});
}

void runner_drain(Runner* runner, int valid, int ready, int payload, const uint8_t* expected,
                  const uint8_t* keys, int64_t count, int64_t capacity, const uint8_t* stalls,
                  int64_t stall_length, int64_t* cycles, uint8_t* payloads, uint8_t* mismatched) {
    Port* ports = runner->ports;
    Drain drain{ports[valid].data, ports[ready].data, ports[payload], expected, keys,
                count, capacity, stalls, stall_length, cycles,
                payloads, mismatched, 0, false, {}};
    if (expected) {
        for (int64_t index = 0; index < count; ++index)
            drain.queues[masked(expected + index * ports[payload].bytes, keys,
                                ports[payload].bytes)].push_back(index);
    }
    runner->drains.push_back(std::move(drain));
}

// write and write_data are negative where the port only reads.
void runner_memory(Runner* runner, int valid, int address, int data, int write, int write_data,
                   uint8_t* bytes, int beat_bytes, uint64_t beats, uint64_t log_every,
                   int64_t log_capacity, int64_t* read_cycles, uint64_t* read_addresses,
                   int64_t* write_cycles, uint64_t* write_addresses) {
    Port* ports = runner->ports;
    runner->memories.push_back({ports[valid].data, ports[address], ports[data],
                                write < 0 ? nullptr : ports[write].data,
                                write < 0 ? Port{nullptr, 0} : ports[write_data], bytes, beat_bytes,
                                beats, log_every, &runner->asked[ports[data].data],
                                {log_capacity, read_cycles, read_addresses, 0},
                                {log_capacity, write_cycles, write_addresses, 0}});
}

// Between two plays memories go on; what they are asked for then is not kept.
void runner_look(Runner* runner) {
    for (Memory& memory : runner->memories) memory.log_every = 0;
    runner->answer();
    runner->drive();
}
int runner_go_on(Runner* runner) {
    if (!runner->serve()) return 0;
    runner->edge();
    return 1;
}

int runner_play(Runner* runner, int64_t limit, int64_t trailing) {
    return runner->play(limit, trailing);
}

int64_t runner_fed(const Runner* runner, int index) { return runner->feeds[index].next; }
int64_t runner_taken(const Runner* runner, int index) { return runner->drains[index].taken; }
int64_t runner_reads(const Runner* runner, int index) {
    return runner->memories[index].reads.logged;
}
int64_t runner_writes(const Runner* runner, int index) {
    return runner->memories[index].writes.logged;
}
int runner_bad_memory(const Runner* runner) { return runner->bad_memory; }
int runner_bad_write(const Runner* runner) { return runner->bad_write; }
uint64_t runner_bad_address(const Runner* runner) { return runner->bad_address; }

}  // extern "C"
