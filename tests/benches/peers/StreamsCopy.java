// Kafka Streams as a peer of the loop bench: copies one topic to another, at least once, as bytes or through Avro.
// Run as a single source file; ends when its standard input does.

import java.io.ByteArrayOutputStream;
import java.nio.file.Files;
import java.util.Properties;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;

public class StreamsCopy {
    static final String SCHEMA = "{\"type\": \"record\", \"name\": \"Sample\", \"namespace\": \"penstock.bench\","
        + " \"fields\": [{\"name\": \"id\", \"type\": \"string\"}, {\"name\": \"number\", \"type\": \"long\"},"
        + " {\"name\": \"payload\", \"type\": \"string\"}]}";
    /** Bytes before the record: two of magic, eight of fingerprint. */
    static final int FRAME = 10;

    /** Each thread has a codec of its own: decoders and encoders are used again. */
    static final class Codec {
        private final GenericDatumReader<GenericRecord> reader;
        private final GenericDatumWriter<GenericRecord> writer;
        private BinaryDecoder decoder;
        private BinaryEncoder encoder;

        Codec(Schema schema) {
            reader = new GenericDatumReader<>(schema);
            writer = new GenericDatumWriter<>(schema);
        }

        byte[] again(byte[] value) {
            try {
                decoder = DecoderFactory.get().binaryDecoder(value, FRAME, value.length - FRAME, decoder);
                GenericRecord record = reader.read(null, decoder);
                ByteArrayOutputStream out = new ByteArrayOutputStream(value.length);
                out.write(value, 0, FRAME);
                encoder = EncoderFactory.get().directBinaryEncoder(out, encoder);
                writer.write(record, encoder);
                return out.toByteArray();
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        String brokers = args[0], group = args[1], from = args[2], to = args[3];
        boolean avro = args[4].equals("avro");
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.AT_LEAST_ONCE);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
        settings.put(StreamsConfig.STATE_DIR_CONFIG, Files.createTempDirectory("streams").toString());
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("acks"), "all");
        settings.put(StreamsConfig.producerPrefix("enable.idempotence"), "true");
        settings.put(StreamsConfig.producerPrefix("linger.ms"), "20");
        settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");

        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], byte[]> records = builder.stream(from, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()));
        if (avro) {
            Schema schema = new Schema.Parser().parse(SCHEMA);
            ThreadLocal<Codec> codec = ThreadLocal.withInitial(() -> new Codec(schema));
            records = records.mapValues(value -> codec.get().again(value));
        }
        records.to(to, Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.start();
        while (System.in.read() >= 0) {
        }
        streams.close();
    }
}
