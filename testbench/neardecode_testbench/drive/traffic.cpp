// Ends of a network: they make packets, send them, take them, check every flit, and count.
//
// Compiled on its own and given pointers into models that the native runner has built: one model
// that holds a whole network, or a tile for each node with the wires between them copied here.
// traffic.py fills the structures; the names and the order of their fields are the same there.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

extern "C" {

struct Models {
    int64_t count;
    void** runners;
    void (**settle)(void*);
    void (**edge)(void*);
    int64_t wires;
    void** to;
    const void** from;
    const int64_t* bytes;
};

struct Ends {
    int64_t count;
    int64_t channels;
    int64_t lanes;
    int64_t credits;
    int64_t token_channels;  // Channels below this carry tokens, the others bulk.
    int64_t port_bits;
    int64_t address_bits;
    const int64_t* addresses;
    const int64_t* hops;  // By source and destination.
    uint8_t** send_valid;
    uint8_t** send_flit;
    uint8_t** send_credit;
    uint8_t** take_valid;
    uint8_t** take_flit;
    uint8_t** take_credit;
};

// A class of traffic.
struct Load {
    uint64_t threshold;           // A packet begins where a random number is below this.
    int64_t packet_flits;
    const int64_t* destinations;  // By source a sequence, repeated; negative is uniform.
    int64_t sequence;             // Its length.
    int64_t hot_node;
    uint64_t hot_threshold;
    int64_t burst;   // Packets at a time where positive: the threshold begins a burst,
    int64_t window;  // and no burst begins sooner after another,
    const int64_t* begins;  // nor, by source, before this cycle.
};

struct Plan {
    Load loads[2];  // Token, bulk.
    uint64_t seed;
    int64_t warm_up;
    int64_t measured;
    int64_t drain;        // Most cycles afterwards.
    int64_t longest_queue;  // Packets of a source queue; further ones are not made.
    int64_t stall_takers;  // Ends take no flit in a cycle where a random byte is below this.
};

constexpr int64_t BINS = 1 << 16;

struct Result {
    int64_t cycles;
    int64_t offered[2];    // Flits made while measuring.
    int64_t accepted[2];   // Flits taken while measuring.
    int64_t checked;       // Flits taken at all, each compared.
    int64_t packets[2];    // Measured packets that arrived.
    int64_t missing;       // Measured packets that did not.
    int64_t hops[2];       // Their sum.
    int64_t latency_sum[2];
    int64_t latency_max[2];
    int64_t refused;       // Packets not made because a queue was full.
    int64_t wrong_cycle;   // Where a check failed, or negative.
    int64_t wrong_end;
    int64_t wrong_kind;    // 1 misrouted or unknown, 2 payload, 3 framing, 4 credit, 5 left over.
    int64_t* latencies[2];  // Histograms of BINS, the last for all above.
};

}  // extern "C"

namespace {

uint64_t mixed(uint64_t value) {
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

struct Random {
    uint64_t state;
    uint64_t next() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state * 0x2545f4914f6cdd1du;
    }
    // Below a small bound.
    int64_t below(int64_t bound) {
        return static_cast<int64_t>((next() >> 32) * static_cast<uint64_t>(bound) >> 32);
    }
};

struct Packet {
    int64_t made;
    int32_t destination;
    int32_t flits;
    bool measured;
    uint64_t number;
};

struct Sending {
    Packet packet;
    int32_t sent = 0;
    bool active = false;
};

struct Taking {
    int32_t source = 0;
    int32_t flits = 0;  // Still to come.
    Packet packet{};
};

struct End {
    Random random;
    std::deque<Packet> queues[2];
    int64_t next_burst[2] = {0, 0};
    int64_t made[2] = {0, 0};  // Packets of each class.
    std::vector<Sending> sending;
    std::vector<int64_t> credits;
    std::vector<Taking> taking;
    std::vector<std::deque<std::pair<uint64_t, bool>>> held;  // Flits not yet taken, by channel.
    int64_t turn = 0;
};

struct Traffic {
    const Models& models;
    const Ends& ends;
    const Plan& plan;
    Result& result;
    std::vector<End> states;
    // Packets on their way by source, destination and group of lanes, and how many there were.
    std::vector<std::deque<Packet>> under_way;
    std::vector<uint64_t> numbers, arrivals;
    int64_t cycle = 0;
    int64_t outstanding = 0;

    Traffic(const Models& m, const Ends& e, const Plan& p, Result& r)
        : models(m), ends(e), plan(p), result(r), states(e.count) {
        const int64_t groups = ends.channels / ends.lanes;
        under_way.resize(ends.count * ends.count * groups);
        numbers.resize(under_way.size());
        arrivals.resize(under_way.size());
        for (int64_t end = 0; end < ends.count; ++end) {
            End& state = states[end];
            state.random.state = mixed(plan.seed * 1000003 + end) | 1;
            for (int kind = 0; kind < 2; ++kind)
                if (plan.loads[kind].begins) state.next_burst[kind] = plan.loads[kind].begins[end];
            state.sending.resize(ends.channels);
            state.taking.resize(ends.channels);
            state.held.resize(ends.channels);
            state.credits.assign(ends.channels, ends.credits);
        }
    }

    int64_t flow(int64_t source, int64_t destination, int64_t channel) const {
        return (source * ends.count + destination) * (ends.channels / ends.lanes) +
               channel / ends.lanes;
    }

    void wrong(int64_t end, int64_t kind) {
        if (result.wrong_cycle >= 0) return;
        result.wrong_cycle = cycle;
        result.wrong_end = end;
        result.wrong_kind = kind;
    }

    // The word of a packet's flit; a first flit has a header below.
    uint64_t word(int64_t source, int64_t destination, int64_t group, uint64_t number,
                  int64_t flit) const {
        uint64_t hash = mixed(mixed(source * 65536 + destination * 256 + group) ^ number * 64 ^
                              static_cast<uint64_t>(flit) << 56);
        if (flit) return hash;
        const int64_t bits = ends.address_bits;
        const int64_t header = ends.port_bits + 2 * bits + 4;
        hash = hash >> header << header;
        hash |= static_cast<uint64_t>(ends.addresses[destination]) << ends.port_bits;
        hash |= static_cast<uint64_t>(ends.addresses[source]) << (ends.port_bits + bits);
        return hash;
    }

    void make(int64_t source) {
        End& end = states[source];
        for (int kind = 0; kind < 2; ++kind) {
            const Load& load = plan.loads[kind];
            if (!load.threshold || end.random.next() > load.threshold) continue;
            if (load.burst && cycle < end.next_burst[kind]) continue;
            end.next_burst[kind] = cycle + load.window;
            for (int64_t index = 0; index < std::max<int64_t>(load.burst, 1); ++index) {
                int64_t destination = load.destinations[source * load.sequence +
                                                        end.made[kind]++ % load.sequence];
                if (destination < 0) {
                    destination = load.hot_threshold && end.random.next() < load.hot_threshold
                                      ? load.hot_node
                                      : end.random.below(ends.count);
                }
                if (static_cast<int64_t>(end.queues[kind].size()) >= plan.longest_queue) {
                    ++result.refused;
                    continue;
                }
                const bool measured =
                    cycle >= plan.warm_up && cycle < plan.warm_up + plan.measured;
                if (measured) {
                    result.offered[kind] += load.packet_flits;
                    ++outstanding;
                }
                end.queues[kind].push_back({cycle, static_cast<int32_t>(destination),
                                            static_cast<int32_t>(load.packet_flits), measured, 0});
            }
        }
    }

    void send(int64_t source) {
        End& end = states[source];
        *ends.send_valid[source] = 0;
        for (int kind = 0; kind < 2; ++kind) {
            const int64_t first = kind ? ends.token_channels : 0;
            const int64_t last = kind ? ends.channels : ends.token_channels;
            // A packet takes the idle channel with the most room.
            while (!end.queues[kind].empty()) {
                int64_t best = -1;
                for (int64_t channel = first; channel < last; channel += ends.lanes)
                    if (!end.sending[channel].active && end.credits[channel] &&
                        (best < 0 || end.credits[channel] > end.credits[best]))
                        best = channel;
                if (best < 0) break;
                Sending& sending = end.sending[best];
                sending.packet = end.queues[kind].front();
                end.queues[kind].pop_front();
                const int64_t index = flow(source, sending.packet.destination, best);
                sending.packet.number = numbers[index]++;
                under_way[index].push_back(sending.packet);
                sending.sent = 0;
                sending.active = true;
            }
            // A flit, of the channels in turn.
            for (int64_t step = 0; step < last - first; ++step) {
                const int64_t channel = first + (end.turn + step) % (last - first);
                Sending& sending = end.sending[channel];
                if (!sending.active || !end.credits[channel]) continue;
                const Packet& packet = sending.packet;
                const uint64_t bits = word(source, packet.destination, channel / ends.lanes,
                                           packet.number, sending.sent);
                const bool tail = ++sending.sent == packet.flits;
                std::memcpy(ends.send_flit[source], &bits, 8);
                ends.send_flit[source][8] = tail;
                *ends.send_valid[source] = 1 << channel;
                --end.credits[channel];
                sending.active = !tail;
                ++end.turn;
                return;
            }
        }
    }

    void credit(int64_t source) {
        const uint8_t back = *ends.send_credit[source];
        for (int64_t channel = 0; back >> channel; ++channel)
            if (back >> channel & 1 && ++states[source].credits[channel] > ends.credits)
                wrong(source, 4);
    }

    void take(int64_t here) {
        End& end = states[here];
        const uint8_t valid = *ends.take_valid[here];
        for (int64_t channel = 0; valid >> channel; ++channel) {
            if (!(valid >> channel & 1)) continue;
            uint64_t bits;
            std::memcpy(&bits, ends.take_flit[here], 8);
            end.held[channel].push_back({bits, ends.take_flit[here][8] & 1});
            if (static_cast<int64_t>(end.held[channel].size()) > ends.credits) wrong(here, 4);
        }
        uint8_t back = 0;
        for (int64_t channel = 0; channel < ends.channels; ++channel) {
            auto& held = end.held[channel];
            if (held.empty()) continue;
            if (plan.stall_takers &&
                static_cast<int64_t>(end.random.next() >> 56) < plan.stall_takers)
                continue;
            check(here, channel, held.front().first, held.front().second);
            held.pop_front();
            back |= 1 << channel;
        }
        *ends.take_credit[here] = back;
    }

    void check(int64_t here, int64_t channel, uint64_t bits, bool tail) {
        Taking& taking = states[here].taking[channel];
        const bool first = !taking.flits;
        if (first) {
            const int64_t shift = ends.port_bits + ends.address_bits;
            const int64_t address = bits >> shift & ((int64_t{1} << ends.address_bits) - 1);
            taking.source = 0;
            while (taking.source < ends.count && ends.addresses[taking.source] != address)
                ++taking.source;
            if (taking.source == ends.count) return wrong(here, 1);
            auto& packets = under_way[flow(taking.source, here, channel)];
            if (packets.empty()) return wrong(here, 1);
            taking.packet = packets.front();
            packets.pop_front();
            taking.flits = taking.packet.flits;
            bits = bits >> ends.port_bits << ends.port_bits;
        }
        const Packet& packet = taking.packet;
        const uint64_t due = word(taking.source, here, channel / ends.lanes, packet.number,
                                  packet.flits - taking.flits);
        ++result.checked;
        if (bits != due) wrong(here, 2);
        if (tail != (--taking.flits == 0)) wrong(here, 3);
        const int kind = channel >= ends.token_channels;
        if (cycle >= plan.warm_up && cycle < plan.warm_up + plan.measured)
            ++result.accepted[kind];
        if (!tail || !packet.measured) return;
        const int64_t latency = cycle - packet.made;
        --outstanding;
        ++result.packets[kind];
        result.hops[kind] += ends.hops[taking.source * ends.count + here];
        result.latency_sum[kind] += latency;
        result.latency_max[kind] = std::max(result.latency_max[kind], latency);
        ++result.latencies[kind][std::min(latency, BINS - 1)];
    }

    void step(bool making) {
        for (int64_t end = 0; end < ends.count; ++end) {
            take(end);
            if (making) make(end);
            send(end);
            credit(end);
        }
        for (int64_t wire = 0; wire < models.wires; ++wire)
            std::memcpy(models.to[wire], models.from[wire], models.bytes[wire]);
        for (int64_t model = 0; model < models.count; ++model) {
            models.settle[model](models.runners[model]);
            models.edge[model](models.runners[model]);
        }
        ++cycle;
    }

    void run() {
        result.wrong_cycle = -1;
        const int64_t end = plan.warm_up + plan.measured;
        while (cycle < end && result.wrong_cycle < 0) step(true);
        // Measured packets arrive under a load that does not change, then what is left drains.
        while (outstanding && cycle < end + plan.drain && result.wrong_cycle < 0) step(true);
        result.missing = outstanding;
        result.cycles = cycle;
    }

    bool empty() const {
        for (const auto& packets : under_way)
            if (!packets.empty()) return false;
        for (const End& end : states) {
            if (!end.queues[0].empty() || !end.queues[1].empty()) return false;
            for (const auto& taking : end.taking)
                if (taking.flits) return false;
        }
        return true;
    }
};

}  // namespace

extern "C" int64_t traffic_run(const Models* models, const Ends* ends, const Plan* plan,
                               Result* result, int64_t empty_within) {
    Traffic traffic(*models, *ends, *plan, *result);
    traffic.run();
    for (int64_t left = empty_within; left && result->wrong_cycle < 0 && !traffic.empty(); --left)
        traffic.step(false);
    if (empty_within && result->wrong_cycle < 0) {
        // Every credit is back at last.
        for (int64_t left = 64; left; --left) traffic.step(false);
        for (int64_t end = 0; end < ends->count; ++end)
            for (int64_t channel = 0; channel < ends->channels; ++channel)
                if (traffic.states[end].credits[channel] != ends->credits)
                    traffic.wrong(end, 5);
        if (!traffic.empty()) traffic.wrong(0, 5);
    }
    return traffic.cycle;
}
