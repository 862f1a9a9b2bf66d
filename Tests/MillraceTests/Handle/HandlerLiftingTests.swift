import Testing

@testable import Millrace

@Suite("handlers that are given lifted events")
struct HandlerLiftingTests {
    @Test("are in all else what they were: what builds a generation still does")
    func keepsItsMarks() {
        var handler = Handler.batches("orders@2", matching: .eventTypes("order.placed")) { _, _ in .done }
        handler.isOfProjection = true
        handler.isBuilding = true
        let lifting = handler.lifting(with: Upcasters().rename("order.created", to: "order.placed"))
        #expect(lifting.isOfProjection)
        #expect(lifting.isBuilding)
        #expect(Set(lifting.filter.eventTypes ?? []) == ["order.created", "order.placed"])
    }
}
