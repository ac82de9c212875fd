/*
 * TransactionalProducer.java BOOTSTRAP TOPIC PARTITIONS TRANSACTIONAL_ID RECORDS SECONDS
 *
 * One transaction of RECORDS small records after the other, each committed before the next begins. Warms up, measures for SECONDS, and
 * says as a line of JSON how many a second were committed, and the median and the 99th percentile of the time from the call of commit
 * to its end. With 0 seconds it goes on until it is killed, and says every gap above 20 ms between two commits when it ends, and, ten
 * times a second, when the last commit was. Times are milliseconds, since 1970 where they are points.
 */
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import java.util.Properties;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class TransactionalProducer {
    private static final double GAP_MS = 20;
    private static final double WARM_UP_MS = 3_000;
    private static final byte[] VALUE = "a small record, as of an event".getBytes(StandardCharsets.UTF_8);

    private static double now() {
        var instant = java.time.Instant.now();
        return instant.getEpochSecond() * 1e3 + instant.getNano() / 1e6;
    }

    private static void say(String format, Object... values) {
        System.out.println(String.format(Locale.ROOT, format, values));
        System.out.flush();
    }

    public static void main(String[] args) {
        int partitions = Integer.parseInt(args[2]);
        int records = Integer.parseInt(args[4]);
        double seconds = Double.parseDouble(args[5]);
        var properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        properties.put("transactional.id", args[3]);
        properties.put("key.serializer", ByteArraySerializer.class.getName());
        properties.put("value.serializer", ByteArraySerializer.class.getName());
        var producer = new KafkaProducer<byte[], byte[]>(properties);
        producer.initTransactions();

        double measuredFrom = now() + WARM_UP_MS;
        double endsAt = seconds == 0 ? Double.MAX_VALUE : measuredFrom + seconds * 1e3;
        double lastAt = now();
        double tellAt = lastAt;
        var latencies = new double[1 << 20];
        int measured = 0;
        for (long number = 0; lastAt < endsAt && measured < latencies.length; number += 1) {
            try {
                producer.beginTransaction();
                for (int i = 0; i < records; i += 1) {
                    int partition = (int) ((number * records + i) % partitions);
                    producer.send(new ProducerRecord<>(args[1], partition, null, VALUE));
                }
                double calledAt = now();
                producer.commitTransaction();
                double at = now();
                if (seconds == 0 && at - lastAt > GAP_MS) say("{\"from\":%.3f,\"to\":%.3f}", lastAt, at);
                if (seconds != 0 && calledAt >= measuredFrom) latencies[measured++] = at - calledAt;
                lastAt = at;
            } catch (ProducerFencedException fenced) {
                throw fenced;
            } catch (KafkaException failure) {
                say("{\"error\":\"%s\"}", failure.getClass().getSimpleName());
                producer.abortTransaction();
            }
            if (seconds == 0 && now() >= tellAt) {
                say("{\"at\":%.3f,\"last\":%.3f}", now(), lastAt);
                tellAt = now() + 100;
            }
        }
        producer.close();
        var sorted = Arrays.copyOf(latencies, measured);
        Arrays.sort(sorted);
        double perSecond = measured / (lastAt - measuredFrom) * 1e3;
        double p50 = sorted[sorted.length / 2];
        double p99 = sorted[(int) (sorted.length * 0.99)];
        say("{\"perSecond\":%.1f,\"p50\":%.2f,\"p99\":%.2f}", perSecond, p50, p99);
    }
}
