// A board as two Verilated models on two threads, which see each other's outputs within a cycle.
//
// Both take the edge by themselves, and the falling one, with which gates of clocks open: they stay
// open for what changes later. Then each gives what changed of its outputs to the other and settles,
// and again until nothing changes: as often as a path without a register crosses.

#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>

#include "verilated.h"

// A half, and its outputs as the other knows them. Between threads they are given by round, of two
// rounds: while the other reads what was given in one, this may give in the next.
template <class HalfModel, class HalfWires>
struct Half {
    using Wires = HalfWires;
    VerilatedContext context;
    HalfModel model{&context};
    Wires last{};
    Wires given[2];
    bool changed[2] = {false, false};
    alignas(64) std::atomic<uint64_t> rounds{0};

    bool give(uint64_t round) {
        const bool any = last.update(model);
        if (any) given[round & 1] = last;
        changed[round & 1] = any;
        return any;
    }
};

// As Verilator does with what never settles.
inline void check_rounds(int rounds) {
    if (rounds < 1000) return;
    std::fputs("the halves do not settle: a loop without a register goes through both\n", stderr);
    std::abort();
}

inline void pause_a_little(unsigned waited) {
    if (waited % 4096 == 4095)
        std::this_thread::yield();  // Whoever is awaited may have no core.
    else
#if defined(__x86_64__)
        __builtin_ia32_pause();
#else
        std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

template <class Mine, class Theirs>
void exchange_edge(Mine& mine, Theirs& theirs, bool driven) {
    auto& model = mine.model;
    model.drive ^= driven;
    model.clk = 1;
    model.eval();
    model.clk = 0;
    model.eval();
    uint64_t round = mine.rounds.load(std::memory_order_relaxed);
    for (int rounds = 0;; ++rounds) {
        check_rounds(rounds);
        const bool gave = mine.give(++round);
        mine.rounds.store(round, std::memory_order_release);
        for (unsigned waited = 0; theirs.rounds.load(std::memory_order_acquire) < round; ++waited)
            pause_a_little(waited);
        const bool got = theirs.changed[round & 1];
        if (!gave && !got) return;
        if (!got) continue;
        theirs.given[round & 1].drive(model);
        model.drive ^= 1;
        model.eval();
    }
}

// `share` copies inputs that both halves have from the first to the second; `Pace` says for each edge
// whether it is taken on two threads.
template <class First, class Second, void (*share)(First&, Second&), class Pace>
struct Halves {
    First first;
    Second second;

    Halves() : worker([this] { work(); }) {}

    void reset(bool value) { first.model.rst = second.model.rst = value; }

    void settle() {
        pace.restart();
        share(first, second);
        first.model.drive ^= 1;
        second.model.drive ^= 1;
        first.model.eval();
        second.model.eval();
        exchange(false);
    }

    void rise(bool driven) {
        together = pace.together();
        edge_driven = driven;
        if (together) {
            order(edges.load(std::memory_order_relaxed) + 1);
            return;
        }
        if (driven) share(first, second);
        first.model.drive ^= driven;
        second.model.drive ^= driven;
        first.model.clk = second.model.clk = 1;
        first.model.eval();
        second.model.eval();
    }

    void fall() {
        if (together) {
            exchange_edge(first, second, edge_driven);
            return;
        }
        first.model.clk = second.model.clk = 0;
        exchange(true);
    }

    void end() {
        order(STOP);
        worker.join();
        first.model.final();
        second.model.final();
    }

private:
    static constexpr uint64_t STOP = ~uint64_t{0};
    // A host that plays comes back sooner than this; one that thinks does not.
    static constexpr unsigned PATIENCE = 20000;

    Pace pace;
    bool together = false;
    bool edge_driven = false;
    alignas(64) std::atomic<uint64_t> edges{0};
    std::atomic<bool> asleep{false};
    std::mutex mutex;
    std::condition_variable woken;
    std::thread worker;

    // Both halves on this thread until nothing changes, once in any case if the clock `falls`. The
    // worker may still be about to leave its last edge: what it reads there is left alone.
    void exchange(bool falls) {
        for (int rounds = 0;; ++rounds, falls = false) {
            check_rounds(rounds);
            const bool here = first.last.update(first.model);
            const bool there = second.last.update(second.model);
            if (!here && !there && !falls) return;
            if (there) {
                second.last.drive(first.model);
                first.model.drive ^= 1;
            }
            if (here) {
                first.last.drive(second.model);
                second.model.drive ^= 1;
            }
            if (there || falls) first.model.eval();
            if (here || falls) second.model.eval();
        }
    }

    void order(uint64_t edge) {
        edges.store(edge);
        if (asleep.load()) {
            std::lock_guard<std::mutex> lock(mutex);
            woken.notify_one();
        }
    }

    void work() {
        for (uint64_t done = 0;;) {
            for (unsigned waited = 0; edges.load() == done; ++waited) {
                if (waited < PATIENCE) {
                    pause_a_little(waited);
                    continue;
                }
                std::unique_lock<std::mutex> lock(mutex);
                asleep.store(true);
                woken.wait(lock, [&] { return edges.load() != done; });
                asleep.store(false);
            }
            done = edges.load();
            if (done == STOP) return;
            if (edge_driven) share(first, second);
            exchange_edge(second, first, edge_driven);
        }
    }
};
