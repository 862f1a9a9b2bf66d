import Foundation
import Millrace
import MillraceTesting
import Testing

@testable import Orders

@Suite("the order example")
struct OrderTests {
    private static let placed = OrderEvent.placed(OrderPlaced(customer: "c-7", cents: 1250))
    private static let paid = OrderEvent.paid(OrderPaid(method: "card"))
    private static let packed = OrderEvent.packed(OrderPacked(boxes: 1))
    private static let shipped = OrderEvent.shipped(OrderShipped(carrier: "bike"))

    @Test("an order is placed once")
    func placedOnce() throws {
        try Order().given().when(.place(customer: "c-7", cents: 1250)).then(OrderTests.placed)
        try Order().given(OrderTests.placed).when(.place(customer: "c-7", cents: 1250))
            .thenThrows(OrderRefusal(status: .placed))
    }

    @Test("an order that costs nothing is none")
    func nothing() throws {
        try Order().given().when(.place(customer: "c-7", cents: 0)).thenThrows(OrderRefusal(status: nil))
    }

    @Test("nothing is packed before it is paid, or shipped before it is packed")
    func inOrder() throws {
        try Order().given(OrderTests.placed).when(.pack(boxes: 1)).thenThrows(OrderRefusal(status: .placed))
        try Order().given(OrderTests.placed, OrderTests.paid).when(.ship(carrier: "bike"))
            .thenThrows(OrderRefusal(status: .paid))
        try Order().given(OrderTests.placed, OrderTests.paid, OrderTests.packed).when(.ship(carrier: "bike"))
            .then(OrderTests.shipped)
            .thenState { $0 == .shipped }
    }

    @Test("an order can be canceled until it is shipped")
    func canceled() throws {
        let history = [OrderTests.placed, OrderTests.paid, OrderTests.packed]
        for length in 1...history.count {
            try Order().given(Array(history.prefix(length))).when(.cancel(reason: "enough"))
                .then(.canceled(OrderCanceled(reason: "enough")))
        }
        try Order().given(history + [OrderTests.shipped]).when(.cancel(reason: "enough"))
            .thenThrows(OrderRefusal(status: .shipped))
    }

    @Test("what was paid and packed in the first release is shipped in the second")
    func goesOn() async throws {
        try await withTestStore { store in
            let old = store.aggregate(FirstRelease.Order())
            try await old.execute(.place(customer: "c-7", cents: 1250), on: "42")
            try await old.execute(.payAndPack(method: "card", boxes: 2), on: "42")

            let new = EventStore(store.client, upcasters: .orders)
            let orders = new.aggregate(Order())
            #expect(try await orders.load("42").state == .packed)
            try await orders.execute(.ship(carrier: "bike"), on: "42")
            var types: [String] = []
            for try await event in new.readStream(orders.stream("42")) { types.append(event.type) }
            #expect(types == ["order.placed", "order.paid", "order.packed", "order.shipped"])
            #expect(try await new.checkEvents(.orders).isClean)
        }
    }
}
